"""EmbeddingGemma in its legacy layout: a Gemma 3 with two dense layers behind the pooling.

Facts, from the reference's converter and the published file: the architecture is called `gemma3`,
the dense layers `dense.0` and `dense.1`, and the last norm is `norm`. llama.cpp has an architecture
of its own, which lets every token attend to all others.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.steps import (
    Family,
    architecture,
    copies,
    default,
    dimension,
    drop_keys,
    has_tensor,
    rename,
    vocabulary_of_rows,
)
from model_store.gguf.legacy.values import f32

_NAME = "gemma-embedding"


def _is_legacy(header: GGUFHeader) -> bool:
    return has_tensor(header, r"dense\.0\.weight$")


FAMILY = Family(
    architectures=("gemma3",),
    is_legacy=_is_legacy,
    text=(
        architecture(_NAME),
        drop_keys(rf"{_NAME}\.attention\.(causal|sliding_window_pattern)$"),
        copies(
            ("gemma3.rope.global.freq_base", f"{_NAME}.rope.freq_base"),
            ("gemma3.rope.local.freq_base", f"{_NAME}.rope.freq_base_swa"),
        ),
        default(f"{_NAME}.attention.layer_norm_rms_epsilon", f32(1e-6)),
        default(f"{_NAME}.rope.freq_base", f32(1_000_000.0)),
        default(f"{_NAME}.rope.freq_base_swa", f32(10_000.0)),
        dimension(f"{_NAME}.dense_2_feat_in", "dense.0.weight", 0),
        dimension(f"{_NAME}.dense_2_feat_out", "dense.0.weight", 1),
        dimension(f"{_NAME}.dense_3_feat_in", "dense.1.weight", 0),
        dimension(f"{_NAME}.dense_3_feat_out", "dense.1.weight", 1),
        rename(
            (r"^dense\.0\.", "dense_2."),
            (r"^dense\.1\.", "dense_3."),
            (r"^norm\.", "output_norm."),
        ),
        vocabulary_of_rows("token_embd.weight"),
    ),
)
