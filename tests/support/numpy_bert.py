"""BERT sentence embeddings in numpy, as sentence-transformers computes them: an independent check.

WordPiece without case and accents, the encoder, the mean of its last layer over all tokens, and a
vector of length one.
"""

import json
import math
import struct
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_CHINESE = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF))
_ASCII_SYMBOLS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_LONGEST_WORD = 100
_EPSILON = 1e-12

_erf = np.vectorize(math.erf)


class NumpyBert:
    """A model read from a folder of safetensors."""

    def __init__(self, folder: Path, *, max_length: int = 256) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._n_layers = int(config["num_hidden_layers"])
        self._n_heads = int(config["num_attention_heads"])
        self._weights = _safetensors(folder / "model.safetensors")
        self._ids: Mapping[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"][
            "vocab"
        ]
        self._max_length = max_length

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text between `[CLS]` and `[SEP]`."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        named = ["[CLS]", *pieces[: self._max_length - 2], "[SEP]"]
        return [self._ids[piece] for piece in named]

    def embed(self, text: str) -> Array:
        """Return the vector of a text, of length one."""
        hidden = self._embeddings(self.tokenize(text))
        for layer in range(self._n_layers):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden)
        mean: Array = hidden.mean(axis=0)
        unit: Array = mean / np.linalg.norm(mean)
        return unit

    def _pieces(self, word: str) -> list[str]:
        pieces: list[str] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            mark = "##" if start else ""
            ends = (
                end for end in range(len(word), start, -1) if mark + word[start:end] in self._ids
            )
            end = next(ends, None)
            if end is None:
                return ["[UNK]"]
            pieces.append(mark + word[start:end])
            start = end
        return pieces or ["[UNK]"]

    def _embeddings(self, ids: list[int]) -> Array:
        tokens = self._weights["embeddings.word_embeddings.weight"][ids]
        positions = self._weights["embeddings.position_embeddings.weight"][: len(ids)]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", tokens + positions + kind)

    def _layer(self, prefix: str, hidden: Array) -> Array:
        attended = self._linear(f"{prefix}attention.output.dense", self._attention(prefix, hidden))
        hidden = self._norm(f"{prefix}attention.output.LayerNorm", hidden + attended)
        inner = self._linear(f"{prefix}intermediate.dense", hidden)
        inner = inner * (1 + _erf(inner / math.sqrt(2))) / 2
        return self._norm(
            f"{prefix}output.LayerNorm", hidden + self._linear(f"{prefix}output.dense", inner)
        )

    def _attention(self, prefix: str, hidden: Array) -> Array:
        query, key, value = (
            self._linear(f"{prefix}attention.self.{name}", hidden)
            .reshape(len(hidden), self._n_heads, -1)
            .transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed: Array = (weights @ value).transpose(1, 0, 2).reshape(len(hidden), -1)
        return mixed

    def _linear(self, name: str, hidden: Array) -> Array:
        result: Array = hidden @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result

    def _norm(self, name: str, hidden: Array) -> Array:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
        result: Array = scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return result


def _safetensors(path: Path) -> dict[str, Array]:
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    start = 8 + size
    tensors: dict[str, Array] = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[start + begin : start + end], "<f4")
            tensors[name] = values.reshape(entry["shape"]).astype(np.float64)
    return tensors


def _words(text: str) -> Iterator[str]:
    """Yield words in small letters without accents; punctuation and Chinese stand alone."""
    cleaned = "".join(_cleaned(char) for char in text).lower()
    plain = (c for c in unicodedata.normalize("NFD", cleaned) if unicodedata.category(c) != "Mn")
    apart = (f" {char} " if _is_punctuation(char) else char for char in plain)
    yield from "".join(apart).split()


def _cleaned(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    if char in "\0\ufffd" or unicodedata.category(char).startswith("C"):
        return ""
    is_chinese = any(first <= ord(char) <= last for first, last in _CHINESE)
    return f" {char} " if is_chinese else char


def _is_punctuation(char: str) -> bool:
    return char in _ASCII_SYMBOLS or unicodedata.category(char).startswith("P")
