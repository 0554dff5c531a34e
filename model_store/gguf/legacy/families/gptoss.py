"""gpt-oss in its legacy layout: another name of the architecture, and of some tensors.

Facts, from the reference's converter and published files of 20B and 120B: the architecture is
`gptoss`; the attention's output and sinks and the norm behind the attention have other names; the
width of an expert and the kind of position scaling (YaRN) are not said; the pre-tokenizer is named
`default`, but is that of GPT-4o.
"""

from model_store.gguf.legacy.steps import (
    Family,
    architecture,
    default,
    dimension,
    only_without,
    put,
    rename,
)
from model_store.gguf.legacy.values import text

_WIDTH = "gpt-oss.expert_feed_forward_length"


FAMILY = Family(
    architectures=("gptoss",),
    text=(
        architecture("gpt-oss"),
        only_without(_WIDTH, dimension(_WIDTH, "blk.0.ffn_gate_exps.weight", 1)),
        default("gpt-oss.rope.scaling.type", text("yarn")),
        put("tokenizer.ggml.pre", text("gpt-4o")),
        rename(
            (r"\.attn_out\.", ".attn_output."),
            (r"\.attn_sinks$", ".attn_sinks.weight"),
            (r"\.ffn_norm\.", ".post_attention_norm."),
        ),
    ),
)
