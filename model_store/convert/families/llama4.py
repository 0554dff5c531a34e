"""Convert the text model of Llama 4: experts in some layers, stored transposed in one tensor.

Q and K are not permuted, because Llama 4 rotates pairs as llama.cpp does. `intermediate_size` is
the width of an expert, `intermediate_size_mlp` that of a layer without experts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.experts import packed_experts
from model_store.convert.families.decoder import ATTENTION
from model_store.convert.families.multimodal import MultimodalText
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_EXPERTS: Final = re.compile(
    r"model\.layers\.(?P<layer>\d{1,4})\.feed_forward\.experts\.(?P<part>gate_up|down)_proj\Z"
)
_ROUTED: Final = ("ffn_gate_inp.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight",
                  "ffn_down_exps.weight", "ffn_gate_shexp.weight", "ffn_up_shexp.weight",
                  "ffn_down_shexp.weight")  # fmt: skip
_DENSE: Final = ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")


class Llama4(MultimodalText):
    """Every `interleave_moe_layer_step`-th layer has experts, and one that all tokens use."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.LLAMA4
    names: ClassVar[tuple[str, ...]] = ("Llama4ForConditionalGeneration", "Llama4ForCausalLM")
    required: ClassVar[tuple[str, ...]] = (*ATTENTION, "ffn_norm.weight")
    unconverted: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:model\.)?(?:vision_model|multi_modal_projector)\."
    )
    rope_theta: ClassVar[float] = 500_000.0

    @property
    def n_ff(self) -> int:
        """Width of the feed-forward layers without experts."""
        return self.config.integer("intermediate_size_mlp", "intermediate_size")

    @property
    def interval(self) -> int:
        """Of so many layers the last has experts."""
        return self.config.integer("interleave_moe_layer_step", default=1)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_interleave_moe_layer_step(self.interval)
        writer.add_expert_feed_forward_length(self.config.integer("intermediate_size"))
        writer.add_expert_count(self.config.integer("num_local_experts"))
        writer.add_expert_used_count(self.config.integer("num_experts_per_tok"))

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *(_DENSE if (layer + 1) % self.interval else _ROUTED))

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        others = {name: each for name, each in tensors.items() if not _EXPERTS.match(name)}
        yield from super()._mapped(others)
        yield from packed_experts(tensors, _EXPERTS)
