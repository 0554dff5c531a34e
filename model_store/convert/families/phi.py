"""Convert Phi 3 and 4."""

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter

from model_store.convert.families.decoder import Decoder
from model_store.convert.output import OutputTensor

_LONG = ("longrope", "su")


class Phi3(Decoder):
    """Fused QKV and gate-up projections, which stay fused."""

    architecture: ClassVar[MODEL_ARCH] = MODEL_ARCH.PHI3
    names: ClassVar[tuple[str, ...]] = ("Phi3ForCausalLM",)
    required: ClassVar[tuple[str, ...]] = (
        "attn_norm.weight", "attn_qkv.weight", "attn_output.weight", "ffn_norm.weight",
        "ffn_up.weight", "ffn_down.weight",
    )  # fmt: skip

    @property
    def n_ctx_trained(self) -> int:
        """The original context length of LongRoPE."""
        name = "original_max_position_embeddings"
        return self._rotation(name).integer(name, default=self.n_ctx)

    def add_metadata(self, writer: GGUFWriter) -> None:
        """Write what the model's size and shape are; raises CreateError."""
        super().add_metadata(writer)
        writer.add_rope_scaling_orig_ctx_len(self.n_ctx_trained)
        writer.add_sliding_window(self.config.integer("sliding_window", default=0, least=0))
        scale = self.n_ctx / self.n_ctx_trained
        if self.rope_kind in _LONG and scale > 1:
            factor = math.sqrt(1 + math.log(scale) / math.log(max(2, self.n_ctx_trained)))
            writer.add_rope_scaling_attn_factors(factor)

    def computed(self) -> Iterator[OutputTensor]:
        """Yield LongRoPE's factors for long and short contexts."""
        if self.rope_kind not in _LONG:
            return
        for length in ("long", "short"):
            factors = np.array(self.rope.numbers(f"{length}_factor"), np.float32)
            if len(factors) != self.rotated // 2:
                raise self.rope.wrong(f"{length}_factor", f"{self.rotated // 2} numbers")
            name = f"rope_factors_{length}.weight"
            yield OutputTensor(name, factors.shape, GGMLQuantizationType.F32, (factors,))
