"""Base class of decoder-only models: attention, RoPE scaling and tied embeddings."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType, RopeScalingType

from model_store.convert.families.base import Family
from model_store.convert.families.pooling import pooling_of
from model_store.convert.fields import Fields
from model_store.convert.folder import Folder
from model_store.convert.output import OutputTensor
from model_store.convert.tensors import SourceTensor

_HEAD, _EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
ATTENTION = ("attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight",
             "attn_output.weight")  # fmt: skip
FEED_FORWARD = ("ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")


class Decoder(Family):
    """A decoder with causal attention and RoPE."""

    required: ClassVar[tuple[str, ...]] = ATTENTION + FEED_FORWARD
    prefixes: ClassVar[tuple[str, ...]] = ("language_model.",)
    rope_theta: ClassVar[float] = 10000.0
    rotated_share: ClassVar[float] = 1.0
    """How much of a head RoPE rotates where the configuration does not say."""

    def __init__(self, config: Fields, folder: Folder) -> None:
        super().__init__(config, folder)
        self.n_kv_heads = config.integer("num_key_value_heads", default=self.n_heads)
        self.head_dim = config.integer("head_dim", default=max(1, self.n_embd // self.n_heads))
        self.n_ctx = config.integer("max_position_embeddings", "n_positions")
        self.rope = self._rope()

    def _rope(self) -> Fields:
        """Return how positions are encoded; newer files say it all in one object."""
        rope = self.config.inner("rope_parameters", "rope_scaling")
        full = rope.inner("full_attention")
        return full if full.items() else rope

    def outputs(self, tensors: Mapping[str, SourceTensor]) -> list[OutputTensor]:
        """Return what becomes of the model's tensors; raises CreateError."""
        if self.config.flag("tie_word_embeddings"):
            tensors = self._tied(tensors)
        return super().outputs(tensors)

    def _tied(self, tensors: Mapping[str, SourceTensor]) -> dict[str, SourceTensor]:
        """Return the tensors with one embedding, which may be stored as the head."""
        if _HEAD in tensors and _EMBEDDING not in tensors:
            tensors = {**tensors, _EMBEDDING: replace(tensors[_HEAD], name=_EMBEDDING)}
        return {name: tensor for name, tensor in tensors.items() if name != _HEAD}

    @property
    def rotated(self) -> int:
        """Dimensions of a head that RoPE rotates."""
        name = "partial_rotary_factor"
        share = self._rotation(name).number(name, default=self.rotated_share)
        if not 0 < share <= 1:
            raise self.config.wrong(name, "above 0 and at most 1")
        return max(1, int(self.head_dim * share))

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_context_length(self.n_ctx)
        writer.add_feed_forward_length(self.widths)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_layer_norm_rms_eps(self.config.number("rms_norm_eps", "norm_eps", default=1e-6))
        writer.add_rope_dimension_count(self.rotated)
        writer.add_rope_freq_base(self.theta)
        if self.config.has("head_dim"):
            writer.add_key_length(self.head_dim)
            writer.add_value_length(self.head_dim)
        self.add_rope_scaling(writer)
        pooling = pooling_of(self.folder)
        if pooling is not PoolingType.NONE:
            writer.add_pooling_type(pooling)

    @property
    def n_ff(self) -> int:
        """Width of the feed-forward layers."""
        return self.config.integer("intermediate_size")

    @property
    def widths(self) -> int | list[int]:
        """Width of the feed-forward layers, of all layers or of each."""
        return self.n_ff

    @property
    def kv_heads(self) -> int | list[int]:
        """Key-value heads, of all layers or of each."""
        return self.n_kv_heads

    @property
    def theta(self) -> float:
        """RoPE frequency base (theta)."""
        return self._rotation("rope_theta").number("rope_theta", default=self.rope_theta)

    def _rotation(self, name: str) -> Fields:
        """Return where the field `name` stands: older files have it beside the others."""
        return self.rope if self.rope.has(name) else self.config

    @property
    def rope_kind(self) -> str:
        """The RoPE scaling configuration, empty when there is none."""
        return self.rope.text("rope_type", "type")

    def add_rope_scaling(self, writer: GGUFWriter) -> None:
        """Write the RoPE scaling; raises CreateError."""
        if self.rope_kind in ("linear", "yarn"):
            kinds = {"linear": RopeScalingType.LINEAR, "yarn": RopeScalingType.YARN}
            writer.add_rope_scaling_type(kinds[self.rope_kind])
            writer.add_rope_scaling_factor(self.rope.number("factor"))
        if self.rope_kind == "yarn":
            writer.add_rope_scaling_orig_ctx_len(
                self.rope.integer("original_max_position_embeddings", default=self.n_ctx)
            )

    def computed(self) -> Iterator[OutputTensor]:
        """Yield the frequency factors of Llama 3's RoPE scaling."""
        if self.rope_kind == "llama3":
            factors = self._llama3_factors()
            yield OutputTensor(
                "rope_freqs.weight", factors.shape, GGMLQuantizationType.F32, (factors,)
            )

    def _llama3_factors(self) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        factor = self.rope.number("factor", default=8.0)
        low = self.rope.number("low_freq_factor", default=1.0)
        high = self.rope.number("high_freq_factor", default=4.0)
        trained = self.rope.integer("original_max_position_embeddings", default=8192)
        if factor <= 0 or low <= 0 or high <= low:
            raise self.rope.wrong("factor", "positive, and high_freq_factor above low_freq_factor")
        exponents = np.arange(0, self.rotated, 2, dtype=np.float64) / self.rotated
        wavelengths = 2 * math.pi * max(self.theta, 1.0) ** exponents
        smooth = np.clip((trained / wavelengths - low) / (high - low), 0, 1)
        return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
