"""Qwen3-VL in its legacy layout, dense and MoE: images in the same file.

Facts, from the reference's converter and published files:

- The sections of the rotary embedding are not said (24, 20 and 20 in all sizes), nor the number of
  layers that get features of the image (deepstack).
- Queries, keys and values of the encoder are split, where llama.cpp takes one tensor of all three;
  their types may differ.
- The convolution over two frames is one tensor of (output and input channels, frame, row, column).
- The projections of deepstack are numbered; llama.cpp names them by the layer of the encoder.
"""

import math
import re

from model_store.errors import GGUFError
from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft, slice_as_f32
from model_store.gguf.legacy.steps import (
    HALVES,
    Family,
    Step,
    as_f32,
    clip,
    copies,
    default,
    dimension,
    four_sections,
    has_tensor,
    merge_qkv,
    only_without,
    rename,
)
from model_store.gguf.legacy.values import BOOL, I32, array, f32, u32

_WIDTH, _SIZE = "clip.vision.feed_forward_length", "clip.vision.image_size"
_PATCHES, _N_FRAMES, _N_CHANNELS = "v.patch_embed.weight", 2, 3
_MIN_PIXELS, _MAX_PIXELS = 65_536, 16_777_216


def _is_legacy(header: GGUFHeader) -> bool:
    sections = f"{header.architecture}.rope.dimension_sections"
    return not header.has(sections) or has_tensor(header, r"(v|mm)\.")


def _arch(draft: Draft) -> str:
    return draft.source.header.architecture


def _deepstack(draft: Draft) -> tuple[int, ...]:
    return draft.source.header.integers(f"{_arch(draft)}.vision.deepstack_visual_indexes")


def _text(draft: Draft) -> None:
    arch = _arch(draft)
    sections = f"{arch}.rope.dimension_sections"
    four_sections(f"{arch}.rope.mrope_section", sections)(draft)
    draft.default(sections, array(I32, (24, 20, 20, 0)))
    draft.default(f"{arch}.n_deepstack_layers", u32(len(_deepstack(draft))))


def split_patches(draft: Draft) -> None:
    """Split the convolution over two frames into one for each."""
    tensor = draft.tensors.pop(_PATCHES, None)
    if tensor is None:
        return
    n_channels = draft.source.header.integer(f"{_arch(draft)}.vision.num_channels") or _N_CHANNELS
    match tensor.shape:
        case (width, height, frames, packed) if frames == _N_FRAMES and packed % n_channels == 0:
            shape = (width, height, n_channels, packed // n_channels)
        case _:
            raise GGUFError(f'tensor "{_PATCHES}" is not a convolution over two frames')
    for frame, name in enumerate(("v.patch_embd.weight", "v.patch_embd.weight.1")):
        draft.tensors[name] = slice_as_f32(tensor, axis=1, index=frame, shape=shape)


def image_size(draft: Draft) -> None:
    """Set the size of an image to that of which each patch has a position."""
    positions = draft.tensors.get("v.pos_embed.weight")
    patch = draft.source.need_integer(f"{_arch(draft)}.vision.patch_size")
    if positions is not None:
        draft.put(_SIZE, u32(math.isqrt(positions.shape[-1]) * patch))


def _name_deepstack(draft: Draft) -> None:
    layers = _deepstack(draft)

    def new(match: re.Match[str]) -> str:
        number = int(match[1])
        if number >= len(layers):
            raise GGUFError(f"the encoder has no layer for the projection {number}")
        return f"v.deepstack.{layers[number]}.{match[2].replace('linear_fc', 'fc')}"

    pattern = re.compile(r"^v\.deepstack_merger\.(\d{1,4})\.(.*)$")
    draft.tensors = {pattern.sub(new, name): tensor for name, tensor in draft.tensors.items()}


def _mark_deepstack(draft: Draft) -> None:
    n_layers = draft.source.need_integer(f"{_arch(draft)}.vision.block_count")
    marked = set(_deepstack(draft))
    marks = [layer in marked for layer in range(min(n_layers, 512))]
    draft.put("clip.vision.is_deepstack_layers", array(BOOL, marks))


def _clip(draft: Draft) -> None:
    arch = _arch(draft)
    names = (
        "attention.layer_norm_epsilon",
        "num_channels",
        "spatial_merge_size",
        "temporal_patch_size",
        "rope.freq_base",
        "image_mean",
        "image_std",
    )
    clip("qwen3vl_merger", arch, *names)(draft)
    copies(
        (f"{arch}.vision.shortest_edge", "clip.vision.image_min_pixels"),
        (f"{arch}.vision.longest_edge", "clip.vision.image_max_pixels"),
    )(draft)


PROJECTOR: tuple[Step, ...] = (
    _clip,
    default("clip.vision.attention.layer_norm_epsilon", f32(1e-6)),
    default("clip.vision.image_min_pixels", u32(_MIN_PIXELS)),
    default("clip.vision.image_max_pixels", u32(_MAX_PIXELS)),
    default("clip.vision.image_mean", HALVES),
    default("clip.vision.image_std", HALVES),
    only_without(_WIDTH, dimension(_WIDTH, "v.blk.0.mlp.linear_fc1.weight", 1)),
    only_without(_SIZE, image_size),
    _mark_deepstack,
    merge_qkv(r"v\.blk\."),
    split_patches,
    _name_deepstack,
    rename(
        (r"^v\.merger\.norm\.", "v.post_ln."),
        (r"^v\.merger\.linear_fc1\.", "mm.0."),
        (r"^v\.merger\.linear_fc2\.", "mm.2."),
        (r"^v\.patch_embed\.bias$", "v.patch_embd.bias"),
        (r"^v\.pos_embed\.", "v.position_embd."),
        (r"\.norm([12])\.", r".ln\1."),
        (r"\.mlp\.linear_fc1\.", ".ffn_up."),
        (r"\.mlp\.linear_fc2\.", ".ffn_down."),
    ),
    as_f32(r"v\.position_embd\.weight$"),
)

FAMILY = Family(
    architectures=("qwen3vl", "qwen3vlmoe"),
    is_legacy=_is_legacy,
    text=(_text,),
    projector=PROJECTOR,
)
