"""Projectors that hear, small enough to write for every test, and sounds: random weights.

They make rows of the width of the tiny text models, and the same arguments always give the same
bytes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter, LlamaFileType

from runners.protocol.media import DecodedAudio
from tests.support.tiny_models import Array, normal, write_file

SAMPLE_RATE = 16_000
FRAME = 640
"""Samples of a token with `write_frames`."""
WINDOW = 30 * SAMPLE_RATE
"""Samples that `write_whisper` reads at once."""
_N_EMBD, _N_HEADS, _N_FF, _N_LAYERS, _N_MELS, _N_STACKED = 8, 2, 16, 1, 80, 60
_N_WINDOW = 1500
"""Rows of a window before they are stacked."""
N_WINDOW_TOKENS = _N_WINDOW // _N_STACKED
"""Tokens that `write_whisper` makes of each window."""


def write_frames(path: Path, *, n_embd: int = 32, seed: int = 0) -> Path:
    """Write a projector that turns each frame of a sound into a token; return `path`."""
    writer = _begin("gemma4ua", n_embd, n_mels=FRAME, n_layers=0)
    writer.add_tensor("mm.a.input_projection.weight", 0.1 * normal(seed)(n_embd, FRAME))
    return write_file(writer, path)


def write_whisper(path: Path, *, n_embd: int = 32, seed: int = 0) -> Path:
    """Write a projector that reads a sound in windows, silence at its end; return `path`."""
    draw = normal(seed)
    writer = _begin("ultravox", n_embd, n_mels=_N_MELS, n_layers=_N_LAYERS)
    writer.add_uint32("clip.audio.projector.stack_factor", _N_STACKED)
    for name, tensor in _encoder(draw):
        writer.add_tensor(name, tensor)
    stacked = _N_EMBD * _N_STACKED
    writer.add_tensor("mm.a.norm_pre.weight", np.ones(stacked, np.float32))
    writer.add_tensor("mm.a.mlp.1.weight", draw(2 * _N_FF, stacked) / np.float32(stacked**0.5))
    writer.add_tensor("mm.a.norm_mid.weight", np.ones(_N_FF, np.float32))
    writer.add_tensor("mm.a.mlp.2.weight", 2 * draw(n_embd, _N_FF) / np.float32(_N_FF**0.5))
    return write_file(writer, path)


def join(path: Path, eye: Path, ear: Path) -> Path:
    """Write one projector file that sees as `eye` does and hears as `ear` does; return `path`."""
    writer = GGUFWriter(None, "clip")
    for sense, source in (("vision", eye), ("audio", ear)):
        reader = GGUFReader(source)
        for field in reader.fields.values():
            if field.name.startswith(f"clip.{sense}.") or field.name == f"clip.has_{sense}_encoder":
                kind, *inner = field.types
                writer.add_key_value(field.name, field.contents(), kind, *inner[:1])
        writer.add_string(
            f"clip.{sense}.projector_type", reader.fields["clip.projector_type"].contents()
        )
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, tensor.data)
    writer.add_bool("clip.use_gelu", val=True)
    return write_file(writer, path)


def sound(seed: int = 0, *, n_samples: int = 8 * FRAME) -> DecodedAudio:
    """Return a sound of a few random tones."""
    tones = np.random.default_rng(seed).uniform(100, 4000, 3)
    time = np.arange(n_samples) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * tones[:, None] * time).mean(axis=0)
    return DecodedAudio((wave * 30_000).astype("<i2").tobytes())


def melody(*seeds: int) -> DecodedAudio:
    """Return sounds behind each other; some encoders hear changes alone."""
    return DecodedAudio(b"".join(sound(seed).samples for seed in seeds))


def _begin(kind: str, n_embd: int, *, n_mels: int, n_layers: int) -> GGUFWriter:
    writer = GGUFWriter(None, "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny projector")
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_bool("clip.has_audio_encoder", val=True)
    writer.add_string("clip.projector_type", kind)
    sizes = {
        "embedding_length": _N_EMBD,
        "feed_forward_length": _N_FF,
        "block_count": n_layers,
        "projection_dim": n_embd,
        "attention.head_count": _N_HEADS,
        "num_mel_bins": n_mels,
    }
    for name, size in sizes.items():
        writer.add_uint32(f"clip.audio.{name}", size)
    writer.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-5)
    return writer


def _encoder(draw: Callable[..., Array]) -> Iterator[tuple[str, np.ndarray]]:
    for number, n_in in ((1, _N_MELS), (2, _N_EMBD)):
        kernel = draw(_N_EMBD, n_in, 3) / np.float32((3 * n_in) ** 0.5)
        yield f"a.conv1d.{number}.weight", kernel.astype(np.float16)
        yield f"a.conv1d.{number}.bias", 0.1 * draw(_N_EMBD, 1)
    yield "a.position_embd.weight", 0.1 * draw(_N_WINDOW, _N_EMBD)
    for layer in range(_N_LAYERS):
        for name, tensor in _layer(draw):
            yield f"a.blk.{layer}.{name}", tensor
    yield "a.post_ln.weight", np.ones(_N_EMBD, np.float32)
    yield "a.post_ln.bias", np.zeros(_N_EMBD, np.float32)


def _layer(draw: Callable[..., Array]) -> Iterator[tuple[str, Array]]:
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        yield f"{name}.weight", draw(_N_EMBD, _N_EMBD) / np.float32(_N_EMBD**0.5)
        if name != "attn_k":
            yield f"{name}.bias", 0.1 * draw(_N_EMBD)
    for name, n_out, n_in in (("ffn_up", _N_FF, _N_EMBD), ("ffn_down", _N_EMBD, _N_FF)):
        yield f"{name}.weight", draw(n_out, n_in) / np.float32(n_in**0.5)
        yield f"{name}.bias", 0.1 * draw(n_out)
    for name in ("ln1", "ln2"):
        yield f"{name}.weight", np.ones(_N_EMBD, np.float32)
        yield f"{name}.bias", np.zeros(_N_EMBD, np.float32)
