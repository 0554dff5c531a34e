"""GLM-4.7-Flash in its legacy layout: llama.cpp reads it as DeepSeek 2.

Facts, from the reference's converter and published files: the tensors are those of DeepSeek 2 with
multi-head latent attention. The lengths of keys and values are those of one head; llama.cpp takes
those of the compressed cache, and has the others as `key_length_mla` and `value_length_mla`. The
second and third of the tokens that end an answer are those that end a turn and a message.
"""

from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import Family, architecture, default, end_tokens, put
from model_store.gguf.legacy.values import text, u32

_OLD, _NEW = "glm4moelite", "deepseek2"


def _lengths(draft: Draft) -> None:
    rank = draft.source.need_integer(f"{_OLD}.attention.kv_lora_rank")
    rotated = draft.source.need_integer(f"{_OLD}.rope.dimension_count")
    head = draft.source.need_integer(f"{_OLD}.attention.key_length")
    draft.put(f"{_NEW}.attention.head_count_kv", u32(1))
    draft.put(f"{_NEW}.attention.key_length", u32(rank + rotated))
    draft.put(f"{_NEW}.attention.value_length", u32(rank))
    draft.put(f"{_NEW}.attention.key_length_mla", u32(head))
    draft.put(f"{_NEW}.attention.value_length_mla", u32(head))


FAMILY = Family(
    architectures=(_OLD,),
    text=(
        architecture(_NEW),
        _lengths,
        default(f"{_NEW}.expert_group_count", u32(1)),
        default(f"{_NEW}.expert_group_used_count", u32(1)),
        put("tokenizer.ggml.pre", text("glm4")),
        end_tokens,
    ),
)
