"""GLM-OCR in its legacy layout: llama.cpp reads it as GLM 4; images in the same file.

Facts, from the reference's converter and published files: gate and up projection are two tensors,
where llama.cpp takes one, the gate first. Norms and the attention's output have other names, the
sections of the rotary embedding are three, and the pre-tokenizer is named wrongly. The encoder has
llama.cpp's names but for the convolution over two frames.
"""

import re

from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    Family,
    architecture,
    as_f32,
    clip,
    copies,
    default,
    four_sections,
    put,
    rename,
)
from model_store.gguf.legacy.values import text

_OLD, _NEW = "glmocr", "glm4"
_UP = re.compile(r"(blk\.\d+\.)ffn_up\.weight$")


def _fuse(draft: Draft) -> None:
    for match in filter(None, map(_UP.match, list(draft.tensors))):
        block = match[1]
        parts = [f"{block}ffn_gate.weight", f"{block}ffn_up.weight"]
        draft.concatenate(parts, f"{block}ffn_up.weight")


FAMILY = Family(
    architectures=(_OLD,),
    text=(
        architecture(_NEW),
        four_sections(f"{_OLD}.rope.mrope_section", f"{_NEW}.rope.dimension_sections"),
        copies((f"{_OLD}.attention.key_length", f"{_NEW}.rope.dimension_count")),
        put("tokenizer.ggml.pre", text("chatglm-bpe")),
        _fuse,
        rename(
            (r"\.attn_out\.", ".attn_output."),
            (r"\.post_attn_norm\.", ".post_attention_norm."),
            (r"\.post_ffn_norm\.", ".post_ffw_norm."),
        ),
    ),
    projector=(
        clip("glm4v", _OLD, "spatial_merge_size", "image_mean", "image_std", activation="silu"),
        copies(
            (f"{_OLD}.vision.intermediate_size", "clip.vision.feed_forward_length"),
            (
                f"{_OLD}.vision.attention.layer_norm_rms_epsilon",
                "clip.vision.attention.layer_norm_epsilon",
            ),
        ),
        default("clip.vision.image_mean", CLIP_MEAN),
        default("clip.vision.image_std", CLIP_DEVIATION),
        rename(
            (r"^v\.patch_embd_0\.weight$", "v.patch_embd.weight"),
            (r"^v\.patch_embd_1\.weight$", "v.patch_embd.weight.1"),
        ),
        as_f32(r"v\.patch_embd\.weight(\.1)?$"),
    ),
)
