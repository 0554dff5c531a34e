"""Convert Nemotron-H and Nemotron Nano 2: each layer is Mamba 2, attention, or feed-forward.

`hybrid_override_pattern` has a character for each layer: `M` Mamba 2, `*` attention, `-`
feed-forward. The attention has no positions.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Final

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.decoder import Decoder
from model_store.convert.families.state_space import MAMBA, add_state_space, plain_name, shaped
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_UNLIMITED: Final = 2**20
"""The context of models without positions."""
_LAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "M": MAMBA,
    "*": ("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"),
    "-": ("ffn_up.weight", "ffn_down.weight"),
}


class NemotronH(Decoder):
    """One norm and one part in each layer; feed-forward layers have no gate."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.NEMOTRON_H
    names: ClassVar[tuple[str, ...]] = ("NemotronHForCausalLM",)
    required: ClassVar[tuple[str, ...]] = ("attn_norm.weight",)

    @cached_property
    def pattern(self) -> str:
        """The kind of each layer; raises CreateError."""
        pattern = self.config.text("hybrid_override_pattern")
        if len(pattern) != self.n_layers or not set(pattern) <= _LAYERS.keys():
            raise self.config.wrong(
                "hybrid_override_pattern",
                "one of M, * and - for each layer; experts cannot be converted",
            )
        return pattern

    @property
    def n_groups(self) -> int:
        """Groups of heads of a Mamba layer."""
        return self.config.integer("n_groups", "mamba_n_groups", default=1)

    @property
    def kv_heads(self) -> int | list[int]:
        """Key-value heads of each layer, 0 for one without attention."""
        return [self.n_kv_heads if kind == "*" else 0 for kind in self.pattern]

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        self.n_ctx = _UNLIMITED
        self.head_dim = self.config.integer("head_dim", "attention_head_dim")
        super().add_metadata(writer)
        if not self.config.has("head_dim"):
            writer.add_key_length(self.head_dim)
            writer.add_value_length(self.head_dim)
        epsilon = self.config.number("layer_norm_epsilon", "rms_norm_eps", default=1e-5)
        writer.add_layer_norm_eps(epsilon)
        n_heads = self.config.integer("mamba_num_heads")
        head_dim = self.config.integer("mamba_head_dim")
        add_state_space(
            writer, self.config, n_heads=n_heads, head_dim=head_dim, n_groups=self.n_groups
        )

    @property
    def widths(self) -> int | list[int]:
        """Width of each layer, 0 for one that is not feed-forward."""
        return [self.n_ff if kind == "-" else 0 for kind in self.pattern]

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *_LAYERS[self.pattern[layer]])

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        return plain_name(super().renamed(name))

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        return shaped(super()._output(source_name, sources), self.n_groups)
