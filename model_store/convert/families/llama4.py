"""Convert the text model of Llama 4: experts in some layers, stored transposed in one tensor.

Q and K are not permuted, because Llama 4 rotates pairs as llama.cpp does. `intermediate_size` is
the width of an expert, `intermediate_size_mlp` that of a layer without experts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.experts import gate_and_up, transposed
from model_store.convert.families.decoder import ATTENTION
from model_store.convert.families.multimodal import MultimodalText
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor
from model_store.errors import CreateError

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

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the model's tensors; raises CreateError."""
        outputs = super().outputs(tensors)
        present = {output.name for output in outputs}
        for layer in range(self.n_layers):
            for name in _DENSE if (layer + 1) % self.interval else _ROUTED:
                if f"blk.{layer}.{name}" not in present:
                    raise CreateError(f'the model lacks the tensor for "blk.{layer}.{name}"')
        return outputs

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        packed = {name: match for name in tensors if (match := _EXPERTS.match(name))}
        yield from super()._mapped({n: t for n, t in tensors.items() if n not in packed})
        for name, match in packed.items():
            layer = f"blk.{match['layer']}"
            if match["part"] == "down":
                yield transposed(f"{layer}.ffn_down_exps.weight", tensors[name])
            else:
                yield from gate_and_up(layer, tensors[name])
