"""Convert the text models of Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

Positions have three parts (M-RoPE): `mrope_section` says how many dimensions each turns. The first
layers of Qwen3-VL take what some layers of its encoder give (deepstack).
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.experts import packed_experts
from model_store.convert.families.multimodal import MultimodalText
from model_store.convert.families.qwen import Qwen3, Qwen3MoE
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_EXPERTS = re.compile(
    r"model\.layers\.(?P<layer>\d{1,4})\.mlp\.experts\.(?P<part>gate_up|down)_proj(?:\.weight)?\Z"
)


class Qwen2VL(MultimodalText):
    """Qwen 2 with M-RoPE."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN2VL
    names: ClassVar[tuple[str, ...]] = (
        "Qwen2_5_VLForConditionalGeneration", "Qwen2VLForConditionalGeneration",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        self.add_sections(writer)


class Qwen3VL(MultimodalText, Qwen3):
    """Qwen 3 with M-RoPE and deepstack."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN3VL
    names: ClassVar[tuple[str, ...]] = ("Qwen3VLForConditionalGeneration",)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        self.add_sections(writer)
        layers = self.config.inner("vision_config").numbers("deepstack_visual_indexes")
        writer.add_num_deepstack_layers(len(layers))


class Qwen3VLMoE(Qwen3VL, Qwen3MoE):
    """Experts in one tensor for each projection, transposed."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.QWEN3VLMOE
    names: ClassVar[tuple[str, ...]] = ("Qwen3VLMoeForConditionalGeneration",)
    required: ClassVar[tuple[str, ...]] = Qwen3MoE.required

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        others = {name: each for name, each in tensors.items() if not _EXPERTS.match(name)}
        yield from super()._mapped(others)
        yield from packed_experts(tensors, _EXPERTS)
