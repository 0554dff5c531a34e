"""DeepSeek-OCR in its legacy layout: two encoders of images, SAM's and CLIP's, in the same file.

Facts, from the reference's converter and model, and llama.cpp's:

- The widths of the experts are not said; those that all tokens share lie behind each other in one.
- The tokenizer is DeepSeek 3's, which the files do not name.
- The tensors of SAM begin with `s.`, those of CLIP have the names of its checkpoint. The keys of
  SAM stand behind `sam.` or, in newer files, `vision.sam.`.
- Attention in SAM is within windows of 14 by 14 patches; values of pixels are from -1 to 1.
"""

from typing import Final

from model_store.errors import GGUFError
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    HALVES,
    Family,
    architecture,
    as_f32,
    clip,
    copies,
    default,
    dimension,
    prefixed,
    put,
    rename,
)
from model_store.gguf.legacy.values import f32, text, u32

_OLD: Final = "deepseekocr"
_NEW: Final = "deepseek2-ocr"
_PRE: Final = "tokenizer.ggml.pre"
_SAM: Final = ("block_count", "embedding_length", "head_count")
_WINDOW: Final = 14
_MIN_SAM_LAYERS: Final = 3
"""llama.cpp ends the runner without a layer that attends to the whole image: every third does."""


def _measure_experts(draft: Draft) -> None:
    block = f"blk.{draft.source.header.integer(f'{_OLD}.leading_dense_block_count') or 0}"
    width = draft.source.need(f"{block}.ffn_down_exps.weight").shape[0]
    shared = draft.source.need(f"{block}.ffn_down_shexp.weight").shape[0]
    if not width or shared % width:
        raise GGUFError(f'the shared experts of "{block}" are no multiple of an expert')
    draft.default(f"{_NEW}.expert_feed_forward_length", u32(width))
    draft.default(f"{_NEW}.expert_shared_count", u32(shared // width))


def _name_pre_tokenizer(draft: Draft) -> None:
    if draft.source.header.text(_PRE) in (None, "", "default"):
        draft.put(_PRE, text("deepseek-v3"))


def _check_sam(draft: Draft) -> None:
    keys = (f"{_OLD}.{prefix}sam.block_count" for prefix in ("vision.", ""))
    if max(draft.source.header.integer(key) or 0 for key in keys) < _MIN_SAM_LAYERS:
        raise GGUFError(f'GGUF key "{_OLD}.sam.block_count" must be at least {_MIN_SAM_LAYERS}')


FAMILY = Family(
    architectures=(_OLD,),
    text=(
        architecture(_NEW),
        default(f"{_NEW}.attention.layer_norm_rms_epsilon", f32(1e-6)),
        _measure_experts,
        _name_pre_tokenizer,
    ),
    projector=(
        _check_sam,
        clip("deepseekocr", _OLD),
        copies((f"{_OLD}.vision.head_count", "clip.vision.attention.head_count")),
        prefixed(f"{_OLD}.vision.sam.", "clip.vision.sam.", _SAM),
        prefixed(f"{_OLD}.sam.", "clip.vision.sam.", _SAM),
        dimension("clip.vision.feed_forward_length", "v.blk.0.mlp.fc1.weight", 1),
        default("clip.vision.attention.layer_norm_epsilon", f32(1e-5)),
        put("clip.vision.window_size", u32(_WINDOW)),
        put("clip.vision.image_mean", HALVES),
        put("clip.vision.image_std", HALVES),
        rename(
            (r"^s\.position_embd$", "v.sam.pos_embd.weight"),
            (r"^s\.(blk\.\d+)\.attn\.proj\.", r"v.sam.\1.attn.out."),
            (r"^s\.(blk\.\d+)\.attn\.rel_pos_([hw])$", r"v.sam.\1.attn.pos_\2.weight"),
            (r"^s\.(blk\.\d+)\.norm1\.", r"v.sam.\1.pre_ln."),
            (r"^s\.(blk\.\d+)\.norm2\.", r"v.sam.\1.post_ln."),
            (r"^s\.", "v.sam."),
            (r"^v\.pre_layrnorm\.", "v.pre_ln."),
            (r"\.layer_norm([12])\.", r".ln\1."),
            (r"\.self_attn\.qkv_proj\.", ".attn_qkv."),
            (r"\.self_attn\.out_proj\.", ".attn_out."),
            (r"\.mlp\.fc1\.", ".ffn_up."),
            (r"\.mlp\.fc2\.", ".ffn_down."),
            (r"^mm\.layers\.", "mm.model.fc."),
            (r"^mm\.(image_newline|view_seperator)$", r"v.\1"),
        ),
        as_f32(r"v\.(class_embd|image_newline|view_seperator|(patch|position)_embd\.weight)$"),
        as_f32(r"v\.sam\.(pos_embd|patch_embd|neck\.\d|net_\d|blk\.\d+\.attn\.pos_[hw])\.weight$"),
    ),
)
