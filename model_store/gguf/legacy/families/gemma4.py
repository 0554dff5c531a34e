"""Gemma 4 in its legacy layout: images and audio in the same file, another kind of tokenizer.

Facts, from the reference's converter and published files: the tokenizer is named `llama`, though it
has merges and is llama.cpp's `gemma4`; with the other one, control tokens fall into pieces. The
scales of experts are named after the router. The encoder of images has llama.cpp's names already,
with values of pixels from 0 to 1; that of audio is left out.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    Family,
    as_f32,
    clip,
    copies,
    default,
    drop_tensors,
    has_tensor,
    put,
    rename,
)
from model_store.gguf.legacy.values import F32, array, text, u32

_TOKENIZER = "tokenizer.ggml.model"
_SCALE = r"\.ffn_gate_inp\.per_expert_scale$"


def _is_legacy(header: GGUFHeader) -> bool:
    is_other = header.text(_TOKENIZER) == "llama"
    return is_other or has_tensor(header, rf"(v|mm|a|model\.vision_tower)\.|.*{_SCALE}")


def _name_tokenizer(draft: Draft) -> None:
    if draft.source.header.text(_TOKENIZER) == "llama":
        draft.put(_TOKENIZER, text("gemma4"))


FAMILY = Family(
    architectures=("gemma4",),
    is_legacy=_is_legacy,
    text=(
        _name_tokenizer,
        drop_tensors(r"model\.vision_tower\."),
        rename((_SCALE, ".ffn_down_exps.scale")),
    ),
    projector=(
        clip("gemma4v", "gemma4", "attention.layer_norm_epsilon"),
        copies(
            ("gemma4.vision.projector.scale_factor", "clip.vision.projector.scale_factor"),
        ),
        default("clip.vision.image_size", u32(224)),
        put("clip.vision.image_mean", array(F32, (0.0, 0.0, 0.0))),
        put("clip.vision.image_std", array(F32, (1.0, 1.0, 1.0))),
        drop_tensors(r"mm\.a\."),
        as_f32(r"v\.patch_embd\.weight$"),
    ),
)
