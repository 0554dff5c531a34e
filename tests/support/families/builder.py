"""Write tiny models of any architecture, with the tensors that llama.cpp itself declares.

llama.cpp makes an empty model from metadata alone (`llama_model_init_from_user`) and hands over
each tensor that the architecture can have. Their names and shapes become a file with random
weights, so the table needs no shapes.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType

from tests.support.families.hyperparameters import END_TOKENS, Keys, Value, hyperparameters
from tests.support.tiny_models import (
    Array,
    Piece,
    add_sentencepiece,
    add_wordpiece,
    llama_pieces,
    normal,
    output_layer,
    wordpieces,
    write_file,
)

_NEEDED_TOKENS = {"phi3": ("<|endoftext|>",)}
"""Tokens without which llama.cpp refuses the family."""
_N_DIMENSIONS = 4
_DIMENSIONS_OFFSET = 16
"""Where `ne` is in a `ggml_tensor`: behind its type and its buffer."""
_ONES = ("norm", "rope_freqs", "rope_factors", "layer_out_scale", "layer_output_scale")


def write_family(
    path: Path,
    architecture: str,
    *,
    chat_template: str | None = None,
    seed: int = 0,
    n_predicting: int = 0,
    keys: Keys | None = None,
    change: Callable[[str, Array], Array | None] = lambda _, weights: weights,
) -> Path:
    """Write a tiny model of an architecture with random weights; return `path`.

    `n_predicting` MTP layers follow its own. `keys` are instead of those of the tiny model, without
    the name of the architecture. `change` replaces a tensor, or leaves it out.
    """
    others = {f"{architecture}.{name}": value for name, value in (keys or {}).items()}
    keys = {**hyperparameters(architecture), **others}
    if n_predicting:
        keys = _with_predicting_layers(keys, architecture, n_predicting)
    empty = path.with_suffix(".empty")
    write_file(_metadata(architecture, keys, chat_template), empty)
    shapes = _declared_tensors(empty)
    empty.unlink()
    writer = _metadata(architecture, keys, chat_template)
    draw = normal(seed)
    pieces = pieces_of(architecture)
    for name, shape in shapes.items():
        weights = change(name, _weights(name, shape, draw, pieces))
        if weights is not None:
            writer.add_tensor(name, weights)
    return write_file(writer, path)


def _with_predicting_layers(keys: Keys, architecture: str, count: int) -> Keys:
    """Return the keys of a model with more layers, which are as its last one where a list says."""
    n_layers = keys[f"{architecture}.block_count"]
    assert isinstance(n_layers, int)
    longer = {
        key: [*value, *value[-1:] * count]
        for key, value in keys.items()
        if isinstance(value, list) and len(value) == n_layers and "sections" not in key
    }
    added = {"block_count": n_layers + count, "nextn_predict_layers": count}
    return {**keys, **longer, **{f"{architecture}.{key}": n for key, n in added.items()}}


def _metadata(architecture: str, keys: Keys, chat_template: str | None) -> GGUFWriter:
    pieces = pieces_of(architecture)
    writer = GGUFWriter(None, architecture)
    writer.add_name(f"tiny {architecture}")
    for key, value in keys.items():
        _add(writer, key, value)
    writer.add_file_type(LlamaFileType.ALL_F32)
    if "bert" in architecture:
        add_wordpiece(writer, wordpieces())
    else:
        writer.add_vocab_size(len(pieces))
        add_sentencepiece(writer, pieces)
    for key, text in zip(("eot", "eom"), END_TOKENS.get(architecture, ()), strict=False):
        number = next(i for i, piece in enumerate(pieces) if piece[0] == text)
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", number)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    return writer


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case list():
            writer.add_array(key, value)


def pieces_of(architecture: str) -> list[Piece]:
    """Return the vocabulary with the tokens that end a turn in this family."""
    specials = (*END_TOKENS.get(architecture, ()), *_NEEDED_TOKENS.get(architecture, ()))
    added = [(text, 0.0, TokenType.CONTROL) for text in specials]
    return [*llama_pieces(), *added]


class _InitParams(ctypes.Structure):
    """`gguf_init_params`: without a context, only the metadata is read."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def _library() -> ctypes.CDLL:
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(next(folder.glob("libggml-base.*"))))
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, _InitParams]
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_free.argtypes = [ctypes.c_void_p]
    library.ggml_get_name.argtypes = [ctypes.c_void_p]
    library.ggml_get_name.restype = ctypes.c_char_p
    library.ggml_n_dims.argtypes = [ctypes.c_void_p]
    return library


def _declared_tensors(metadata: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, slowest dimension first, of a model with this metadata."""
    library = _library()
    shapes: dict[str, tuple[int, ...]] = {}

    @llama_cpp.llama_model_set_tensor_data_t
    def note(tensor: int, _: int) -> None:
        ne = (ctypes.c_int64 * _N_DIMENSIONS).from_address(tensor + _DIMENSIONS_OFFSET)
        name = library.ggml_get_name(tensor).decode()
        shapes[name] = tuple(reversed(ne[: library.ggml_n_dims(tensor)]))

    params = llama_cpp.llama_model_default_params()
    params.load_mtp = True
    context = library.gguf_init_from_file(str(metadata).encode(), _InitParams(no_alloc=True))
    assert context
    try:
        model = llama_cpp.llama_model_init_from_user(context, note, None, params)
        assert model, f"llama.cpp makes no model of {metadata.name}"
        llama_cpp.llama_model_free(model)
    finally:
        library.gguf_free(context)
    return shapes


def _weights(
    name: str, shape: tuple[int, ...], draw: Callable[..., Array], pieces: list[Piece]
) -> Array:
    """Return random weights under which the output varies and no state overflows."""
    if any(part in name for part in _ONES) and name.endswith("weight"):
        return np.ones(shape, np.float32)
    if name == "output.weight":
        return output_layer(draw, pieces, shape[-1], ends=True)
    if name.startswith("token_embd"):
        return draw(*shape)
    if name.endswith("ssm_a"):
        return -np.exp(draw(*shape) - np.float32(2))
    if name.endswith(".bias") or len(shape) == 1:
        return 0.1 * draw(*shape)
    return draw(*shape) / np.float32(shape[-1] ** 0.5)
