"""Projectors small enough to write for every test, and pictures: random weights, real formats.

They make rows of the width of the tiny text models, and the same arguments always give the same
bytes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, LlamaFileType

from runners.protocol.media import DecodedImage
from tests.support.tiny_architectures import HEAD_DIM, N_EMBD, N_FF, N_HEADS, N_KV_HEADS
from tests.support.tiny_models import (
    Array,
    add_sentencepiece,
    llama_layer,
    llama_pieces,
    normal,
    output_layer,
    write_file,
)

IMAGE_SIZE, PATCH_SIZE = 32, 8
N_PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2
"""Tokens that a picture of any size takes with `write_llava`."""
_N_EMBD, _N_HEADS, _N_FF, _N_LAYERS = 16, 2, 32, 2
_EPS = 1e-5


def write_llava(path: Path, *, n_embd: int = 32, seed: int = 0) -> Path:
    """Write a projector whose pictures are attended to like text; return `path`."""
    draw = normal(seed)
    writer = _begin("mlp", n_embd)
    for name, tensor in _encoder(draw, with_post_norm=False):
        writer.add_tensor(name, tensor)
    for name, n_in in (("mm.0", _N_EMBD), ("mm.2", n_embd)):
        writer.add_tensor(f"{name}.weight", 2 * draw(n_embd, n_in) / np.float32(n_in**0.5))
        writer.add_tensor(f"{name}.bias", 0.1 * draw(n_embd))
    return write_file(writer, path)


def write_gemma3(path: Path, *, n_embd: int = 32, seed: int = 0) -> Path:
    """Write a projector whose pictures are read at once, each row attending to all of them."""
    draw = normal(seed)
    writer = _begin("gemma3", n_embd)
    writer.add_uint32("clip.vision.projector.scale_factor", 2)
    for name, tensor in _encoder(draw, with_post_norm=True):
        writer.add_tensor(name, tensor)
    writer.add_tensor("mm.soft_emb_norm.weight", np.ones(_N_EMBD, np.float32))
    writer.add_tensor("mm.input_projection.weight", 2 * draw(_N_EMBD, n_embd))
    return write_file(writer, path)


def write_qwen2vl(path: Path, *, n_ctx: int = 8192, seed: int = 0) -> Path:
    """Write a text model that knows where in a picture a row stands; return `path`."""
    pieces = list(llama_pieces())
    writer = GGUFWriter(None, "qwen2vl")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(2)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_KV_HEADS)
    writer.add_layer_norm_rms_eps(_EPS)
    writer.add_rope_dimension_sections([2, 1, 1, 0])
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(pieces))
    add_sentencepiece(writer, pieces)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), N_EMBD))
    for layer in range(2):
        for name, tensor in llama_layer(draw, N_EMBD, HEAD_DIM * N_KV_HEADS, N_FF):
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
    writer.add_tensor("output_norm.weight", np.ones(N_EMBD, np.float32))
    writer.add_tensor("output.weight", output_layer(draw, pieces, N_EMBD, ends=False))
    return write_file(writer, path)


def write_qwen2vl_projector(path: Path, *, seed: int = 0) -> Path:
    """Write the projector of `write_qwen2vl`, whose pictures keep their shape; return `path`."""
    draw = normal(seed)
    writer = _begin("qwen2vl_merger", N_EMBD)
    for name, tensor in _encoder(draw, with_post_norm=True):
        if name == "v.patch_embd.weight":
            writer.add_tensor("v.patch_embd.weight.1", tensor / 2)
        if name not in {"v.patch_embd.bias", "v.position_embd.weight"}:
            writer.add_tensor(name, tensor)
    for name, n_in in (("mm.0", 4 * _N_EMBD), ("mm.2", N_EMBD)):
        writer.add_tensor(f"{name}.weight", 2 * draw(N_EMBD, n_in) / np.float32(n_in**0.5))
        writer.add_tensor(f"{name}.bias", 0.1 * draw(N_EMBD))
    return write_file(writer, path)


def picture(seed: int = 0, *, width: int = 48, height: int = 32) -> DecodedImage:
    """Return a picture of random blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 6 // width
    return DecodedImage(width, height, blocks[rows][:, columns].tobytes())


def _begin(kind: str, n_embd: int) -> GGUFWriter:
    writer = GGUFWriter(None, "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny projector")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.use_gelu", val=True)
    sizes = {
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH_SIZE,
        "embedding_length": _N_EMBD,
        "feed_forward_length": _N_FF,
        "block_count": _N_LAYERS,
        "projection_dim": n_embd,
        "attention.head_count": _N_HEADS,
    }
    for name, size in sizes.items():
        writer.add_uint32(f"clip.vision.{name}", size)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", _EPS)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    return writer


def _encoder(draw: Callable[..., Array], *, with_post_norm: bool) -> Iterator[tuple[str, Array]]:
    patch = 3 * PATCH_SIZE**2
    yield (
        "v.patch_embd.weight",
        draw(_N_EMBD, 3, PATCH_SIZE, PATCH_SIZE) / np.float32(patch**0.5),
    )
    yield "v.patch_embd.bias", 0.1 * draw(_N_EMBD)
    yield "v.position_embd.weight", 0.1 * draw(N_PATCHES, _N_EMBD)
    for layer in range(_N_LAYERS):
        for name, tensor in _layer(draw):
            yield f"v.blk.{layer}.{name}", tensor
    if with_post_norm:
        yield "v.post_ln.weight", np.ones(_N_EMBD, np.float32)
        yield "v.post_ln.bias", np.zeros(_N_EMBD, np.float32)


def _layer(draw: Callable[..., Array]) -> Iterator[tuple[str, Array]]:
    shapes = {
        "attn_q": (_N_EMBD, _N_EMBD),
        "attn_k": (_N_EMBD, _N_EMBD),
        "attn_v": (_N_EMBD, _N_EMBD),
        "attn_out": (_N_EMBD, _N_EMBD),
        "ffn_up": (_N_FF, _N_EMBD),
        "ffn_down": (_N_EMBD, _N_FF),
    }
    for name, (n_out, n_in) in shapes.items():
        yield f"{name}.weight", draw(n_out, n_in) / np.float32(n_in**0.5)
        yield f"{name}.bias", 0.1 * draw(n_out)
    for name in ("ln1", "ln2"):
        yield f"{name}.weight", np.ones(_N_EMBD, np.float32)
        yield f"{name}.bias", np.zeros(_N_EMBD, np.float32)
