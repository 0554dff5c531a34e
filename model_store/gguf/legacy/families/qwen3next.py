"""Qwen3-Next in its legacy layout: a list of KV heads, another name of the time step's bias.

Facts, from the reference's converter: the number of KV heads is a list with 0 for layers without
attention, where llama.cpp takes one number and finds out itself which layers have attention. The
bias `ssm_dt` has no suffix.
"""

from typing import Final

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import Family, has_tensor, rename
from model_store.gguf.legacy.values import u32

TIME_STEP: Final = (r"\.ssm_dt$", ".ssm_dt.bias")


def _is_legacy(header: GGUFHeader) -> bool:
    return has_tensor(header, r".*\.ssm_dt$")


def one_number_of_kv_heads(draft: Draft) -> None:
    """Replace the list by the number that is not 0."""
    key = f"{draft.source.header.architecture}.attention.head_count_kv"
    numbers = draft.source.header.integers(key)
    if len(numbers) > 1:
        draft.put(key, u32(max(*numbers, 1)))


FAMILY = Family(
    architectures=("qwen3next",),
    is_legacy=_is_legacy,
    text=(one_number_of_kv_heads, rename(TIME_STEP)),
)
