"""Convert Llama and models of its architecture: Mistral, Mixtral and many others."""

import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.base import half_rotated
from model_store.convert.families.decoder import ATTENTION, Decoder

_QUERY = re.compile(r"attn_q\.(?:weight|bias)\Z")
_KEY = re.compile(r"attn_k\.(?:weight|bias)\Z")


class Llama(Decoder):
    """llama.cpp applies RoPE to pairs, the source to halves of a head: Q and K are permuted."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.LLAMA
    names: ClassVar[tuple[str, ...]] = ("LlamaForCausalLM", "MistralForCausalLM")

    def order(self, name: str, n_rows: int) -> npt.NDArray[np.intp] | None:
        """Return the order of the rows of queries and keys."""
        if _QUERY.search(name):
            return half_rotated(n_rows, self.n_heads)
        if _KEY.search(name):
            return half_rotated(n_rows, self.n_kv_heads)
        return None


class Mixtral(Llama):
    """Llama with a mixture of experts."""

    names: ClassVar[tuple[str, ...]] = ("MixtralForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *ATTENTION, "ffn_norm.weight", "ffn_gate_inp.weight", "ffn_gate_exps.weight",
        "ffn_up_exps.weight", "ffn_down_exps.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_expert_count(self.config.integer("num_local_experts"))
        writer.add_expert_used_count(self.config.integer("num_experts_per_tok"))
