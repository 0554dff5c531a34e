"""Convert Granite with experts (3 MoE) and Granite 4, whose layers are Mamba 2 or attention.

Gate and up projection are stored one after the other: of all experts, and of the layers that every
token uses (`shared_mlp`), which are the only ones in dense models. Granite 4 without Mamba layers
has the name of the hybrid ones and is Granite or Granite MoE in GGUF files.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.experts import gate_and_up
from model_store.convert.families.base import Family
from model_store.convert.families.decoder import ATTENTION
from model_store.convert.families.llama import Granite
from model_store.convert.families.state_space import MAMBA, add_state_space, plain_name, shaped
from model_store.convert.fields import Fields
from model_store.convert.output import OutputTensor, encoding_of
from model_store.convert.tensors import SourceTensor, shown
from model_store.errors import CreateError

_UNLIMITED: Final = 2**20
"""The context of models without positions."""
_FUSED: Final = ".shared_mlp.input_linear.weight"
_EXPERTS: Final = ".block_sparse_moe.input_linear.weight"
_DOWN: Final = ".shared_mlp.output_linear.weight"


def _rows(name: str, source: SourceTensor, rows: npt.NDArray[np.intp] | None) -> OutputTensor:
    """Return a matrix, or some of its rows; raises CreateError."""
    if len(source.shape) != 2:
        raise CreateError(f'the tensor "{shown(source.name)}" is no matrix')
    shape = source.shape if rows is None else (len(rows), source.shape[1])
    return OutputTensor(name, shape, encoding_of(name, (source,), precise=False), (source,), rows)


def _has_experts(config: Fields) -> bool:
    return config.integer("num_local_experts", default=0, least=0) > 0


class GraniteMoE(Granite):
    """Granite with experts, and in some models a part that every token uses."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GRANITE_MOE
    names: ClassVar[tuple[str, ...]] = ("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM")
    required: ClassVar[tuple[str, ...]] = (*ATTENTION, "ffn_norm.weight")

    @property
    def n_ff(self) -> int:
        """Width of an expert, or of the layers where there are none."""
        if _has_experts(self.config):
            return self.config.integer("intermediate_size")
        return self.config.integer("shared_intermediate_size", "intermediate_size")

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        if _has_experts(self.config):
            writer.add_expert_count(self.config.integer("num_local_experts"))
            writer.add_expert_used_count(self.config.integer("num_experts_per_tok"))
            if self.config.integer("shared_intermediate_size", default=0, least=0):
                width = self.config.integer("shared_intermediate_size")
                writer.add_expert_shared_feed_forward_length(width)

    def _mapped(self, tensors: Mapping[str, SourceTensor]) -> Iterator[OutputTensor]:
        suffix = "_shexp" if _has_experts(self.config) else ""
        others: dict[str, SourceTensor] = {}
        for name, tensor in tensors.items():
            if name.endswith(_EXPERTS):
                yield from gate_and_up(self._layer_of(name, _EXPERTS), tensor, is_turned=False)
            elif name.endswith(_FUSED):
                yield from self._halves(self._layer_of(name, _FUSED), suffix, tensor)
            elif name.endswith(_DOWN):
                layer = self._layer_of(name, _DOWN)
                yield _rows(f"{layer}.ffn_down{suffix}.weight", tensor, None)
            else:
                others[name] = tensor
        yield from super()._mapped(others)

    def _layer_of(self, name: str, part: str) -> str:
        norm = self.gguf_name(f"{name.removesuffix(part)}.input_layernorm.weight")
        return norm.removesuffix(".attn_norm.weight")

    def _halves(self, layer: str, suffix: str, source: SourceTensor) -> Iterator[OutputTensor]:
        n_rows = source.shape[0] if len(source.shape) == 2 else 1
        if n_rows % 2:
            raise CreateError(f'"{shown(source.name)}" does not hold a gate and an up projection')
        for part, rows in zip(("gate", "up"), np.split(np.arange(n_rows), 2), strict=True):
            yield _rows(f"{layer}.ffn_{part}{suffix}.weight", source, rows)


class _GraniteDense(GraniteMoE):
    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GRANITE
    required: ClassVar[tuple[str, ...]] = Granite.required


class GraniteHybrid(GraniteMoE):
    """Granite 4: Mamba 2 in most layers; attention without positions in some."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GRANITE_HYBRID
    names: ClassVar[tuple[str, ...]] = ("GraniteMoeHybridForCausalLM",)
    required: ClassVar[tuple[str, ...]] = ("attn_norm.weight", "ffn_norm.weight")

    @classmethod
    def variant(cls, config: Fields) -> type[Family]:
        """Return Granite or Granite MoE for a model without Mamba layers."""
        kinds = config.value("layer_types")
        if isinstance(kinds, list) and "mamba" in kinds:
            return cls
        return GraniteMoE if _has_experts(config) else _GraniteDense

    @cached_property
    def attends(self) -> list[bool]:
        """Which layers have attention; raises CreateError."""
        kinds = self.config.value("layer_types")
        if isinstance(kinds, list) and len(kinds) == self.n_layers:
            return [kind == "attention" for kind in kinds]
        raise self.config.wrong("layer_types", "a list with one entry for each layer")

    @property
    def n_groups(self) -> int:
        """Groups of heads of a Mamba layer."""
        return self.config.integer("mamba_n_groups", default=1)

    @property
    def kv_heads(self) -> int | list[int]:
        """Key-value heads of each layer, 0 for Mamba."""
        return [self.n_kv_heads if attends else 0 for attends in self.attends]

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        rotates = self.config.text("position_embedding_type") == "rope"
        if not rotates:
            self.n_ctx = _UNLIMITED
        super().add_metadata(writer)
        writer.add_rope_scaling_finetuned(rotates)
        n_heads = self.config.integer("mamba_n_heads")
        head_dim = self.config.integer("mamba_d_head")
        add_state_space(
            writer, self.config, n_heads=n_heads, head_dim=head_dim, n_groups=self.n_groups
        )

    def required_of(self, layer: int) -> tuple[str, ...]:
        """Return the tensors that a layer has to have; raises CreateError."""
        return (*self.required, *(ATTENTION if self.attends[layer] else MAMBA))

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        return plain_name(super().renamed(name))

    def _output(self, source_name: str, sources: tuple[SourceTensor, ...]) -> OutputTensor:
        return shaped(super()._output(source_name, sources), self.n_groups)
