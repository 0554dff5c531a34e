"""Gemma 4 in its legacy layout: images and audio in the same file, another kind of tokenizer.

Facts, from the reference's converter and published files: the tokenizer is named `llama`, though it
has merges and is llama.cpp's `gemma4`; with the other one, control tokens fall into pieces. The
scales of experts are named after the router. The encoder of images has llama.cpp's names already,
with values of pixels from 0 to 1. In the encoder of audio, the projections in front of and behind
the layers, the norms, and the keys of relative positions have other names; the spectrogram has 128
bins, which is not said.
"""

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    Family,
    as_f32,
    clip,
    clip_audio,
    copies,
    default,
    drop_tensors,
    has_tensor,
    put,
    rename,
    with_audio,
)
from model_store.gguf.legacy.values import F32, array, text, u32

_TOKENIZER = "tokenizer.ggml.model"
_N_MEL_BINS = 128
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
        as_f32(r"v\.patch_embd\.weight$"),
        with_audio(
            clip_audio("gemma4a", "gemma4", "num_mel_bins"),
            default("clip.audio.num_mel_bins", u32(_N_MEL_BINS)),
            rename(
                (r"^a\.pre_encode\.out\.", "a.input_projection."),
                (r"^mm\.a\.fc\.", "a.pre_encode.out."),
                (r"^(a\.blk\.\d+)\.ln1\.", r"\1.attn_pre_norm."),
                (r"^(a\.blk\.\d+)\.ln2\.", r"\1.attn_post_norm."),
                (r"^(a\.blk\.\d+)\.layer_pre_norm\.", r"\1.ln2."),
                (r"^(a\.blk\.\d+)\.linear_pos\.", r"\1.attn_k_rel."),
            ),
            as_f32(r"a\.(conv1d\.\d|blk\.\d+\.conv_dw)\.weight$"),
        ),
    ),
)
