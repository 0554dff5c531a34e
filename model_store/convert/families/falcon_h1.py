"""Convert Falcon-H1: attention and Mamba 2 side by side in every layer.

The configuration has factors for what goes into and out of each part (muP). llama.cpp has no keys
for them, so its converter multiplies the weights, and so does this one. Rows of the projection into
Mamba have a factor each for gate, input, B, C and time step.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter
from gguf import GGMLQuantizationType as Encoding

from model_store.convert.families.decoder import ATTENTION, FEED_FORWARD, Decoder
from model_store.convert.families.state_space import MAMBA, add_state_space, plain_name, shaped
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

_FACTORS: Final[Mapping[str, tuple[str, ...]]] = {
    "token_embd.weight": ("embedding_multiplier",),
    "output.weight": ("lm_head_multiplier",),
    "attn_q.weight": ("attention_in_multiplier",),
    "attn_k.weight": ("attention_in_multiplier", "key_multiplier"),
    "attn_v.weight": ("attention_in_multiplier",),
    "attn_output.weight": ("attention_out_multiplier",),
    "ssm_in.weight": ("ssm_in_multiplier",),
    "ssm_out.weight": ("ssm_out_multiplier",),
}
"""Fields of config.json by the tensors that they multiply."""
_FEED_FORWARD: Final = ("ffn_gate.weight", "ffn_down.weight")
"""The tensors that `mlp_multipliers` multiply, in this order."""
_PARTS: Final = 5
_LAYER: Final = re.compile(r"blk\.\d+\.")


class FalconH1(Decoder):
    """A decoder whose layers have a state-space model beside the attention."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.FALCON_H1
    names: ClassVar[tuple[str, ...]] = ("FalconH1ForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *ATTENTION, *FEED_FORWARD[1:], "ffn_norm", *(n for n in MAMBA if "norm" not in n),
    )  # fmt: skip

    @property
    def n_groups(self) -> int:
        """Groups of heads of the state-space model."""
        return self.config.integer("mamba_n_groups", default=1)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        if not self.config.has("head_dim"):
            writer.add_key_length(self.head_dim)
            writer.add_value_length(self.head_dim)
        head_dim = self.config.integer("mamba_d_head")
        n_heads = self.config.integer("mamba_d_ssm") // head_dim
        add_state_space(
            writer, self.config, n_heads=n_heads, head_dim=head_dim, n_groups=self.n_groups
        )

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        return plain_name(super().renamed(name))

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        output = shaped(super()._output(source_name, sources), self.n_groups)
        factors = self._factors(output)
        if factors is None:
            return output
        encoding = Encoding.F16 if output.encoding is Encoding.BF16 else output.encoding
        return replace(output, encoding=encoding, factors=factors)

    def _factors(self, output: OutputTensor) -> npt.NDArray[np.float32] | None:
        """Return what each row of a tensor is multiplied by, None for 1."""
        name = _LAYER.sub("", output.name)
        factor = 1.0
        for field in _FACTORS.get(name, ()):
            factor *= self.config.number(field, default=1.0)
        if name in _FEED_FORWARD:
            pair = self.config.numbers("mlp_multipliers") or (1.0, 1.0)
            if len(pair) != len(_FEED_FORWARD):
                raise self.config.wrong("mlp_multipliers", "a list of two numbers")
            factor = pair[_FEED_FORWARD.index(name)]
        rows = np.full(output.shape[0], factor, np.float32)
        if name == "ssm_in.weight":
            rows *= self._parts(output)
        return None if (rows == 1).all() else rows

    def _parts(self, output: OutputTensor) -> npt.NDArray[np.float32]:
        """Return the factors of gate, input, B, C and time step for the rows of a projection."""
        multipliers = self.config.numbers("ssm_multipliers") or (1.0,) * _PARTS
        inner = self.config.integer("mamba_d_ssm")
        state = self.n_groups * self.config.integer("mamba_d_state")
        n_rest = output.shape[0] - 2 * inner - 2 * state
        if len(multipliers) != _PARTS or n_rest < 0:
            raise CreateError(f'the rows of "{shown(output.name)}" are not those of config.json')
        return np.repeat(np.array(multipliers, np.float32), (inner, inner, state, state, n_rest))
