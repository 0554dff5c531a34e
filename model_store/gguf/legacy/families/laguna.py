"""Laguna in its legacy layout: rotary keys and the gate of the attention have other names.

Facts, from the reference's converter: the keys of layers with a sliding window stand behind
`rope.swa`; YaRN's bounds lack its name. `attn_factor` is the whole scale of the attention, which
llama.cpp computes itself. A rotary embedding without scaling is of the type `default`, which
llama.cpp does not know. The gate is `attn_g`. Some tokens that end an answer stand in a list only.
"""

from typing import Final

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    Family,
    copies,
    drop_keys,
    end_tokens,
    has_tensor,
    rename,
)
from model_store.gguf.legacy.values import text

_SCALING: Final = "laguna.rope.scaling.type"
_KNOWN: Final = ("none", "linear", "yarn", "longrope")


def _is_legacy(header: GGUFHeader) -> bool:
    return header.has("laguna.attention.layer_types") or has_tensor(header, r"blk\.\d+\.attn_g\.")


def _name_scaling(draft: Draft) -> None:
    if draft.source.header.text(_SCALING) not in _KNOWN:
        draft.put(_SCALING, text("none"))


FAMILY = Family(
    architectures=("laguna",),
    is_legacy=_is_legacy,
    text=(
        copies(
            ("laguna.rope.swa.freq_base", "laguna.rope.freq_base_swa"),
            ("laguna.rope.swa.dimension_count", "laguna.rope.dimension_count_swa"),
            ("laguna.rope.scaling.beta_fast", "laguna.rope.scaling.yarn_beta_fast"),
            ("laguna.rope.scaling.beta_slow", "laguna.rope.scaling.yarn_beta_slow"),
        ),
        drop_keys(r"laguna\.rope\.scaling\.attn_factor$"),
        _name_scaling,
        rename((r"\.attn_g\.", ".attn_gate.")),
        end_tokens,
    ),
)
