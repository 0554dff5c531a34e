"""LFM2 in its legacy layout: the last norm has another name, the width may be wrong.

Facts, from the reference's converter and published files: the norm of the output is `output_norm`,
which llama.cpp calls `token_embd_norm` for this architecture. `feed_forward_length` may be the
number before it is adjusted (12,288 for tensors of 8,192). The pre-tokenizer is not named.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.steps import Family, dimension, has_tensor, put, rename
from model_store.gguf.legacy.values import text


def _is_legacy(header: GGUFHeader) -> bool:
    return not has_tensor(header, r"token_embd_norm\.weight$")


FAMILY = Family(
    architectures=("lfm2",),
    is_legacy=_is_legacy,
    text=(
        rename((r"^output_norm\.", "token_embd_norm.")),
        put("tokenizer.ggml.pre", text("lfm2")),
        dimension("lfm2.feed_forward_length", "blk.0.ffn_gate.weight", 1),
    ),
)
