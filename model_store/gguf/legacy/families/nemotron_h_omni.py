"""Nemotron 3 Omni in its legacy layout: text, images and audio in the same file.

Facts, from the reference's converter and model, and llama.cpp's:

- llama.cpp reads the text as `nemotron_h_moe`, or as `nemotron_h` without experts.
- The encoder of images (RADIO) has a matrix for its patches, which llama.cpp takes as a
  convolution, and positions for the largest image (128 by 128 patches). llama.cpp takes those of
  the size to which it scales every image; its converter interpolates them with aligned corners,
  the reference and newer code of NVIDIA with half-pixel centres, as is done here.
- In the encoder of audio (Parakeet) all but the attention's matrices has other names. It has no
  scaling of its input, which llama.cpp cannot do.
"""

import math
from typing import Final

from model_store.errors import GGUFError
from model_store.gguf.legacy.draft import Draft, DraftTensor, square_as_f32
from model_store.gguf.legacy.families import nemotron_h_moe
from model_store.gguf.legacy.steps import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    Family,
    as_f32,
    clip,
    clip_audio,
    default,
    rename,
    with_audio,
)
from model_store.gguf.legacy.values import f32, u32

_OLD: Final = "nemotron_h_omni"
_POSITIONS: Final = "v.position_embd"
_PATCHES: Final = "v.patch_embd.weight"
_N_CHANNELS: Final = 3
_N_FFT_BINS, _N_WINDOW, _SUBSAMPLING = 257, 400, 8
"""What llama.cpp's encoder of audio is built for; it ends the runner for other numbers."""


def _name_architecture(draft: Draft) -> None:
    has_experts = draft.source.header.integer(f"{_OLD}.expert_count")
    draft.set_architecture("nemotron_h_moe" if has_experts else "nemotron_h")


def _shape_patches(draft: Draft) -> None:
    side = draft.source.need_integer(f"{_OLD}.vision.patch_size")

    def change(tensor: DraftTensor) -> DraftTensor:
        n_rows = tensor.shape[-1]
        shape = (side, side, _N_CHANNELS, n_rows)
        if math.prod(shape) != math.prod(tensor.shape):
            raise GGUFError(f'tensor "{_PATCHES}" is no matrix for patches of {side} by {side}')
        return DraftTensor(tensor.type, shape, tensor.pieces)

    draft.map(_PATCHES, change)


def _scale_positions(draft: Draft) -> None:
    patch = draft.source.need_integer(f"{_OLD}.vision.patch_size")
    side = draft.source.need_integer(f"{_OLD}.vision.image_size") // max(patch, 1)
    draft.map(_POSITIONS, lambda tensor: square_as_f32(tensor, _POSITIONS, side=side))


def _check_audio(draft: Draft) -> None:
    header, key = draft.source.header, f"{_OLD}.audio."
    if header.flag(f"{key}scale_input"):
        raise GGUFError(f'GGUF key "{key}scale_input" must be false: llama.cpp scales no audio')
    if header.integer(f"{key}subsampling_factor") != _SUBSAMPLING:
        raise GGUFError(f'GGUF key "{key}subsampling_factor" must be {_SUBSAMPLING}')
    kernel = draft.source.need_integer(f"{key}conv_kernel_size")
    if kernel % 2 == 0:
        raise GGUFError(f'GGUF key "{key}conv_kernel_size" must be odd')
    n_mel_bins = draft.source.need_integer(f"{key}num_mel_bins")
    for name, count in (("fb", n_mel_bins * _N_FFT_BINS), ("window", _N_WINDOW)):
        tensor = draft.source.need(f"a.feature_extractor.{name}")
        if math.prod(tensor.shape) != count:
            raise GGUFError(f'tensor "{tensor.name}" must have {count} elements')


def _shape_biases(draft: Draft) -> None:
    """Let the biases of convolutions have the shape of what they are added to."""
    for name, tensor in draft.tensors.items():
        if name.startswith("a.conv1d.") and name.endswith(".bias"):
            shape = (1, 1, math.prod(tensor.shape))
            draft.tensors[name] = DraftTensor(tensor.type, shape, tensor.pieces)


_AUDIO_LAYER: Final = (
    ("attn_norm", "ln1"),
    ("attn_rel_k", "linear_pos"),
    ("attn_bias_([uv])", r"pos_bias_\2"),
    ("conv_norm", "norm_conv"),
    (r"conv_bn\.running_(mean|var)", r"conv_norm_\2"),
    ("conv_bn", "conv_norm"),
    ("ffn1_(up|down|norm)", r"ffn_\2"),
    ("ffn2_(up|down|norm)", r"ffn_\2_1"),
    ("out_norm", "ln2"),
)
_SUBSAMPLING_LAYERS: Final = (("conv0", 0), ("dw1", 2), ("pw1", 3), ("dw2", 5), ("pw2", 6))

FAMILY = Family(
    architectures=(_OLD,),
    text=(_name_architecture, *nemotron_h_moe.TEXT),
    projector=(
        clip("nemotron_v2_vl", _OLD, "projector.scale_factor", "image_mean", "image_std"),
        default("clip.vision.attention.layer_norm_epsilon", f32(1e-6)),
        default("clip.vision.projector.scale_factor", u32(2)),
        default("clip.vision.image_mean", CLIP_MEAN),
        default("clip.vision.image_std", CLIP_DEVIATION),
        _shape_patches,
        _scale_positions,
        rename(
            (r"^v\.cls_embd$", "v.class_embd"),
            (r"^v\.position_embd$", "v.position_embd.weight"),
            (r"^mm\.norm\.", "mm.model.mlp.0."),
            (r"^mm\.1\.", "mm.model.mlp.1."),
            (r"^mm\.2\.", "mm.model.mlp.3."),
        ),
        as_f32(r"v\.(class_embd|patch_embd\.weight)$"),
        with_audio(
            _check_audio,
            clip_audio("parakeet", _OLD, "num_mel_bins", "subsampling_factor", "conv_kernel_size"),
            rename(
                (r"^a\.feature_extractor\.fb$", "a.mel_filters"),
                (r"^a\.feature_extractor\.window$", "a.window"),
                (r"^a\.subsampling\.linear\.", "a.pre_encode.out."),
                *(
                    (rf"^a\.subsampling\.{old}\.", f"a.conv1d.{n}.")
                    for old, n in _SUBSAMPLING_LAYERS
                ),
                *((rf"^(a\.blk\.\d+)\.{old}(?=\.|$)", rf"\1.{new}") for old, new in _AUDIO_LAYER),
                (r"^mm\.a\.norm\.", "mm.a.norm_pre."),
                (r"^mm\.a\.([12])\.", r"mm.a.mlp.\1."),
            ),
            _shape_biases,
            as_f32(
                r"a\.(mel_filters|window|conv1d\..*|blk\.\d+\.(conv_dw\.weight|pos_bias_[uv]))$"
            ),
        ),
    ),
)
