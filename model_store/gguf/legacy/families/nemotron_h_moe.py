"""Nemotron 3 in its legacy layout: latent experts have other names, prediction layers are in it.

Facts, from the reference's converter: the projections into and out of the width of latent experts
are named `ffn_latent_in` and `ffn_latent_out`, and that width is not said. The layers for
multi-token prediction (`mtp.`) are left out: answers do not depend on them.
"""

import re

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import Family, drop_keys, has_tensor, rename
from model_store.gguf.legacy.values import u32

_LATENT_SIZE = "nemotron_h_moe.moe_latent_size"
_LATENT_IN = re.compile(r"blk\.\d+\.ffn_latent_in\.weight$")


def _is_legacy(header: GGUFHeader) -> bool:
    return has_tensor(header, r"mtp\.|blk\.\d+\.ffn_latent_(in|out)\.")


def _measure_latent_experts(draft: Draft) -> None:
    for name, tensor in draft.tensors.items():
        if _LATENT_IN.match(name):
            draft.default(_LATENT_SIZE, u32(tensor.shape[-1]))
            return


TEXT = (
    _measure_latent_experts,
    drop_keys(r"[^.]+\.nextn_predict_layers$"),
    rename(
        (r"\.ffn_latent_in\.", ".ffn_latent_down."),
        (r"\.ffn_latent_out\.", ".ffn_latent_up."),
    ),
)

FAMILY = Family(architectures=("nemotron_h_moe",), is_legacy=_is_legacy, text=TEXT)
