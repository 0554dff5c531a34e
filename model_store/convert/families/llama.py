"""Convert Llama and models that permute Q and K as it does: Mistral, Mixtral, Granite, SmolLM3."""

import re
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.base import half_rotated
from model_store.convert.families.decoder import ATTENTION, Decoder

_QUERY = re.compile(r"attn_q\.(?:weight|bias)\Z")
_KEY = re.compile(r"attn_k\.(?:weight|bias)\Z")

_UNROTATED: Final = 4
"""Of so many layers the last has no RoPE in SmolLM3."""


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


class Granite(Llama):
    """Llama with factors on embeddings, attention, residuals and logits."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GRANITE
    names: ClassVar[tuple[str, ...]] = ("GraniteForCausalLM",)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        for name, add in (
            ("attention_multiplier", writer.add_attention_scale),
            ("embedding_multiplier", writer.add_embedding_scale),
            ("residual_multiplier", writer.add_residual_scale),
            ("logits_scaling", writer.add_logit_scale),
        ):
            add(self.config.number(name))


class SmolLM3(Llama):
    """Llama without RoPE in every fourth layer."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.SMOLLM3
    names: ClassVar[tuple[str, ...]] = ("SmolLM3ForCausalLM",)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        interval = self.config.integer("no_rope_layer_interval", default=_UNROTATED)
        rotated = [int((layer + 1) % _UNROTATED != 0) for layer in range(self.n_layers)]
        if interval != _UNROTATED or self.config.value("no_rope_layers") not in (None, rotated):
            raise self.config.wrong("no_rope_layers", "every fourth layer, as llama.cpp has it")
        super().add_metadata(writer)
