"""Qwen2.5-VL in its legacy layout: images in the same file, another name of the architecture.

Facts, from the reference's converter and published files of 3B to 72B: the architecture is
`qwen25vl`, which llama.cpp reads as `qwen2vl`; the sections of the rotary embedding are three.
Queries, keys and values of the encoder are split already, and so is the convolution over two
frames. Which layers attend to the whole image is told by their numbers; llama.cpp takes the
distance between them.
"""

from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    Family,
    architecture,
    as_f32,
    clip,
    default,
    dimension,
    four_sections,
    only_without,
    put,
    rename,
)
from model_store.gguf.legacy.values import I32, array, u32

_SECTIONS = "qwen2vl.rope.dimension_sections"
_WIDTH = "clip.vision.feed_forward_length"
_DISTANCE = 8
_IMAGE_SIZE = 560


def _full_attention(draft: Draft) -> None:
    layers = draft.source.header.integers("qwen25vl.vision.fullatt_block_indexes")
    draft.put("clip.vision.n_wa_pattern", u32(layers[0] + 1 if layers else _DISTANCE))


FAMILY = Family(
    architectures=("qwen25vl",),
    text=(
        architecture("qwen2vl"),
        four_sections("qwen25vl.rope.mrope_section", _SECTIONS),
        default(_SECTIONS, array(I32, (16, 24, 24, 0))),
    ),
    projector=(
        clip(
            "qwen2.5vl_merger",
            "qwen25vl",
            "attention.layer_norm_epsilon",
            "num_channels",
            "spatial_merge_size",
            "window_size",
            activation="silu",
        ),
        only_without(_WIDTH, dimension(_WIDTH, "v.blk.0.ffn_up.weight", 1)),
        _full_attention,
        default("clip.vision.image_size", u32(_IMAGE_SIZE)),
        put("clip.vision.image_mean", CLIP_MEAN),
        put("clip.vision.image_std", CLIP_DEVIATION),
        rename(
            (r"^v\.merger\.ln_q\.", "v.post_ln."),
            (r"^v\.merger\.mlp\.([02])\.", r"mm.\1."),
            (r"^v\.patch_embd_0\.weight$", "v.patch_embd.weight"),
            (r"^v\.patch_embd_1\.weight$", "v.patch_embd.weight.1"),
        ),
        as_f32(r"v\.patch_embd\.weight(\.1)?$"),
    ),
)
