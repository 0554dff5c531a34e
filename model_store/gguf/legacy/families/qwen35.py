"""Qwen3.5 in its legacy layout, dense and MoE: images and prediction layers in the same file.

Facts, from the reference's converter and published files: the number of KV heads is a list with 0
for layers without attention, the sections of the rotary embedding are three, and the bias of the
time step has no suffix. The encoder is that of Qwen3-VL without deepstack. The layers for
multi-token prediction (`mtp.`) are left out: answers do not depend on them.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.families.qwen3next import TIME_STEP, one_number_of_kv_heads
from model_store.gguf.legacy.families.qwen3vl import PROJECTOR
from model_store.gguf.legacy.steps import Family, drop_keys, four_sections, has_tensor, rename

_N_SECTIONS = 4
_LEGACY_KEYS = ("vision.block_count", "image_token_id", "ssm.v_head_reordered")


def _is_legacy(header: GGUFHeader) -> bool:
    arch = header.architecture
    has_key = any(header.has(f"{arch}.{key}") for key in _LEGACY_KEYS)
    return has_key or has_tensor(header, r"(v|mtp)\.|.*\.ssm_dt$")


def _pad_sections(draft: Draft) -> None:
    key = f"{draft.source.header.architecture}.rope.dimension_sections"
    if len(draft.source.header.integers(key)) < _N_SECTIONS:
        four_sections(key, key)(draft)


FAMILY = Family(
    architectures=("qwen35", "qwen35moe"),
    is_legacy=_is_legacy,
    text=(
        one_number_of_kv_heads,
        _pad_sections,
        drop_keys(r"qwen35(moe)?\.nextn_predict_layers$"),
        rename(TIME_STEP),
    ),
    projector=PROJECTOR,
)
