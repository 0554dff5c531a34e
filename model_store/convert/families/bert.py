"""Convert BERT, RoBERTa and NomicBERT embedding models."""

import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, GGUFWriter, PoolingType

from model_store.convert.families.base import Family
from model_store.convert.families.pooling import pooling_of

_NORMS = ("attn_output_norm.weight", "attn_output_norm.bias", "layer_output_norm.weight",
          "layer_output_norm.bias")  # fmt: skip


class Bert(Family):
    """Bidirectional attention, learned positions, pooled output."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.BERT
    names: ClassVar[tuple[str, ...]] = ("BertModel", "BertForMaskedLM")
    required: ClassVar[tuple[str, ...]] = (
        *(f"{name}.{part}" for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up",
                                        "ffn_down") for part in ("weight", "bias")),
        *_NORMS,
    )  # fmt: skip
    required_once: ClassVar[tuple[str, ...]] = (
        "token_embd.weight", "token_types.weight", "position_embd.weight",
        "token_embd_norm.weight", "token_embd_norm.bias",
    )  # fmt: skip
    dropped: ClassVar[re.Pattern[str]] = re.compile(
        r"position_ids\Z|(?:^|\.)pooler\.|^cls\.|^lm_head\."
    )
    prefixes: ClassVar[tuple[str, ...]] = ("bert.", "roberta.")

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        config = self.config
        writer.add_context_length(self.n_positions)
        writer.add_feed_forward_length(config.integer("intermediate_size", "n_inner"))
        writer.add_layer_norm_eps(config.number("layer_norm_eps", "layer_norm_epsilon",
                                                default=1e-12))  # fmt: skip
        writer.add_causal_attention(False)  # noqa: FBT003 - the library's own signature
        writer.add_pooling_type(pooling_of(self.folder, PoolingType.MEAN))
        writer.add_token_type_count(config.integer("type_vocab_size", default=2))

    @property
    def n_positions(self) -> int:
        """The longest text, in tokens."""
        return self.config.integer("max_position_embeddings", "n_positions")


class Roberta(Bert):
    """BERT whose positions are counted from behind the id of the padding."""

    names: ClassVar[tuple[str, ...]] = ("RobertaModel", "XLMRobertaModel")

    @property
    def _first_position(self) -> int:
        return self.config.integer("pad_token_id", default=1, least=0) + 1

    @property
    def n_positions(self) -> int:
        """The longest text, in tokens."""
        return max(1, super().n_positions - self._first_position)

    def order(self, name: str, n_rows: int) -> npt.NDArray[np.intp] | None:
        """Leave out the positions that no token ever has."""
        if name == "position_embd.weight":
            return np.arange(min(self._first_position, n_rows), n_rows)
        return None


class NomicBert(Bert):
    """BERT with rotary positions and gated feed-forward networks."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.NOMIC_BERT
    names: ClassVar[tuple[str, ...]] = ("NomicBertModel",)
    required: ClassVar[tuple[str, ...]] = (
        "attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_gate.weight",
        "ffn_down.weight", *_NORMS,
    )  # fmt: skip
    required_once: ClassVar[tuple[str, ...]] = (
        "token_embd.weight", "token_types.weight", "token_embd_norm.weight",
        "token_embd_norm.bias",
    )  # fmt: skip

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_rope_freq_base(self.config.number("rotary_emb_base", default=10000.0))
