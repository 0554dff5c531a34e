"""Convert the text models of Gemma 1 to 3."""

import re
from typing import ClassVar

from gguf import MODEL_ARCH, GGUFWriter

from model_store.convert.families.decoder import Decoder
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder


class Gemma(Decoder):
    """Norm weights are stored minus 1; embeddings are tied."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GEMMA
    names: ClassVar[tuple[str, ...]] = ("GemmaForCausalLM",)
    dropped: ClassVar[re.Pattern[str]] = re.compile(
        r"rotary_emb\.inv_freq\Z|(?:^|\.)lm_head\.weight\Z"
    )

    def shift(self, name: str) -> float:
        """Return what is added to every number of the tensor `name`."""
        return 1.0 if name.endswith("norm.weight") else 0.0

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        if not self.config.has("head_dim"):
            writer.add_key_length(self.head_dim)
            writer.add_value_length(self.head_dim)


class Gemma2(Gemma):
    """Sliding-window attention in every other layer, soft-capped logits, post-norms."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GEMMA2
    names: ClassVar[tuple[str, ...]] = ("Gemma2ForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        *Gemma.required, "post_attention_norm.weight", "post_ffw_norm.weight",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_sliding_window(self.config.integer("sliding_window", default=4096))
        writer.add_attn_logit_softcapping(self.config.number("attn_logit_softcapping", default=50))
        writer.add_final_logit_softcapping(
            self.config.number("final_logit_softcapping", default=30)
        )


_GEMMA3_DEFAULTS: dict[str, object] = {
    "vocab_size": 262_208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131_072,
    "sliding_window": 4096,
}
"""Defaults of fields that Gemma 3's configurations leave out."""


class Gemma3(Gemma2):
    """Sliding-window attention in five layers of six, QK norm, no soft cap."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.GEMMA3
    names: ClassVar[tuple[str, ...]] = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
    required: ClassVar[tuple[str, ...]] = (
        *Gemma2.required, "attn_q_norm.weight", "attn_k_norm.weight",
    )  # fmt: skip
    prefixes: ClassVar[tuple[str, ...]] = ("language_model.", "model.language_model.")
    rope_theta: ClassVar[float] = 1_000_000.0

    def __init__(self, config: Fields, folder: Folder) -> None:
        present = {name: value for name, value in config.items() if value is not None}
        super().__init__(Fields(config.file, _GEMMA3_DEFAULTS | present), folder)

    def renamed(self, name: str) -> str:
        """Return a tensor's name as the map of names has it."""
        short = super().renamed(name)
        return short if short.startswith("model.") else f"model.{short}"

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        Gemma.add_metadata(self, writer)
        writer.add_sliding_window(self.config.integer("sliding_window"))
        if self.config.has("final_logit_softcapping"):
            writer.add_final_logit_softcapping(self.config.number("final_logit_softcapping"))
        local = self.config.inner("rope_parameters").inner("sliding_attention")
        theta = local if local.has("rope_theta") else self.config
        name = "rope_theta" if local.has("rope_theta") else "rope_local_base_freq"
        writer.add_rope_freq_base_swa(theta.number(name, default=10000.0))
