"""Tiny encoders of audio in llama.cpp's form, to be added to projectors of images."""

import numpy as np

from tests.support.legacy.plain_file import PlainFile, ones
from tests.support.legacy.projectors import Shapes
from tests.support.legacy.text_models import matrices
from tests.support.tiny_models import Array, normal

N_EMBD, N_HEADS, N_FF, N_LAYERS = 32, 2, 48, 2
_HEAD = N_EMBD // N_HEADS
_ATTENTION = {f"attn_{part}.weight": (N_EMBD, N_EMBD) for part in ("q", "k", "v", "out")}
_FEED_FORWARD: Shapes = {
    "ffn_up.weight": (N_FF, N_EMBD),
    "ffn_down.weight": (N_EMBD, N_FF),
    "ffn_up_1.weight": (N_FF, N_EMBD),
    "ffn_down_1.weight": (N_EMBD, N_FF),
}


def add_gemma4a(projector: PlainFile, n_text: int) -> PlainFile:
    """Add the encoder of Gemma 4, for text of the width `n_text`."""
    n_mel_bins, channels, n_out = 128, (8, 4), 40
    norms = (
        *("ffn_norm", "ffn_post_norm", "ffn_norm_1", "ffn_post_norm_1"),
        *("attn_pre_norm", "attn_post_norm", "conv_norm", "norm_conv", "ln2"),
    )
    layer: Shapes = {
        **{f"{name}.weight": (N_EMBD,) for name in norms},
        **_ATTENTION,
        **_FEED_FORWARD,
        "attn_k_rel.weight": (N_EMBD, N_EMBD),
        "per_dim_scale.weight": (_HEAD,),
        "conv_pw1.weight": (2 * N_EMBD, N_EMBD),
        "conv_pw2.weight": (N_EMBD, N_EMBD),
        "conv_dw.weight": (N_EMBD, 5),
        **{f"attn_q.{end}": (1,) for end in _BOUNDS},
    }
    others: Shapes = {
        "a.conv1d.0.weight": (channels[0], 1, 3, 3),
        "a.conv1d.0.norm.weight": (channels[0],),
        "a.conv1d.1.weight": (channels[1], channels[0], 3, 3),
        "a.conv1d.1.norm.weight": (channels[1],),
        "a.input_projection.weight": (N_EMBD, channels[1] * n_mel_bins // 4),
        "a.pre_encode.out.weight": (n_out, N_EMBD),
        "a.pre_encode.out.bias": (n_out,),
        "mm.a.input_projection.weight": (n_text, n_out),
    }
    return _add(projector, "gemma4a", n_text, layer, others, num_mel_bins=n_mel_bins)


_BOUNDS = {"input_min": -1, "input_max": 1, "output_min": -2, "output_max": 2}
N_MEL_BINS, N_CHANNELS = 16, 4
"""Of `add_parakeet`."""


def add_parakeet(projector: PlainFile, n_text: int) -> PlainFile:
    """Add Parakeet, the encoder of Nemotron 3 Omni, for text of the width `n_text`."""
    norms = ("ffn_norm", "ffn_norm_1", "ln1", "ln2", "norm_conv", "conv_norm")
    layer: Shapes = {
        **{f"{name}.{kind}": (N_EMBD,) for name in norms for kind in ("weight", "bias")},
        **_ATTENTION,
        **_FEED_FORWARD,
        "linear_pos.weight": (N_EMBD, N_EMBD),
        "pos_bias_u": (N_HEADS, _HEAD),
        "pos_bias_v": (N_HEADS, _HEAD),
        "conv_pw1.weight": (2 * N_EMBD, N_EMBD),
        "conv_pw2.weight": (N_EMBD, N_EMBD),
        "conv_dw.weight": (N_EMBD, 9),
        "conv_norm_mean": (N_EMBD,),
        "conv_norm_var": (N_EMBD,),
    }
    kernels: Shapes = {
        **dict.fromkeys(("0", "2", "5"), (N_CHANNELS, 1, 3, 3)),
        **dict.fromkeys(("3", "6"), (N_CHANNELS, N_CHANNELS, 1, 1)),
    }
    others: Shapes = {
        **{f"a.conv1d.{number}.weight": shape for number, shape in kernels.items()},
        **{f"a.conv1d.{number}.bias": (N_CHANNELS, 1, 1) for number in kernels},
        "a.pre_encode.out.weight": (N_EMBD, N_CHANNELS * N_MEL_BINS // 8),
        "a.pre_encode.out.bias": (N_EMBD,),
        "mm.a.norm_pre.weight": (N_EMBD,),
        "mm.a.mlp.1.weight": (N_FF, N_EMBD),
        "mm.a.mlp.2.weight": (n_text, N_FF),
    }
    sizes = {"num_mel_bins": N_MEL_BINS, "subsampling_factor": 8, "conv_kernel_size": 9}
    file = _add(projector, "parakeet", n_text, layer, others, **sizes)
    file.tensors["a.window"] = np.hanning(400).astype(np.float32)
    file.tensors["a.mel_filters"] = np.abs(normal(7)(N_MEL_BINS, 257)) / np.float32(257)
    return file


def _add(
    file: PlainFile, kind: str, n_text: int, layer: Shapes, others: Shapes, **sizes: int
) -> PlainFile:
    vision = file.keys.pop("clip.projector_type")
    file.keys["clip.vision.projector_type"] = vision
    file.set(clip__audio__projector_type=kind, clip__has_audio_encoder=True)
    common = {
        "block_count": N_LAYERS,
        "embedding_length": N_EMBD,
        "feed_forward_length": N_FF,
        "attention.head_count": N_HEADS,
        "attention.layer_norm_epsilon": 1e-5,
        "projection_dim": n_text,
    }
    file.update({**common, **sizes}, "clip.audio.")
    shapes = {f"a.blk.{n}.{name}": shape for n in range(N_LAYERS) for name, shape in layer.items()}
    for name, tensor in matrices(normal(5), {**shapes, **others}):
        file.tensors[name] = _fitting(name, tensor)
    return file


def _fitting(name: str, tensor: Array) -> Array:
    end = name.rpartition(".")[2]
    if end in _BOUNDS:
        return np.array([_BOUNDS[end]], np.float32)
    if end == "conv_norm_var":
        return ones(len(tensor))
    if "norm" in name and end == "weight" and tensor.ndim == 1:
        return ones(len(tensor)) + np.float32(0.05) * tensor
    return tensor
