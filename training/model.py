"""A Llama in PyTorch, computing what llama.cpp computes with the exported weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Params = dict[str, Any]
EPSILON = 1e-5
_PIECE = 64
"""Tokens whose attention is computed together."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model; every row must be a multiple of 32 long, a block of Q8_0."""

    n_vocab: int
    n_embd: int
    n_layers: int
    n_heads: int
    n_ff: int
    rope_base: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_heads


def initial(shape: Shape, seed: int) -> Params:
    """Return random weights; matrices map rows: `x @ w`."""
    random = torch.Generator().manual_seed(seed)

    def matrix(n_in: int, n_out: int, scale: float = 1.0) -> Tensor:
        return torch.randn(n_in, n_out, generator=random) * scale * n_in**-0.5

    d, depth = shape.n_embd, (2 * shape.n_layers) ** -0.5
    return {
        "embd": torch.randn(shape.n_vocab, d, generator=random) * 0.15,
        "norm": torch.ones(d),
        "layers": [
            {
                "attn_norm": torch.ones(d),
                "q": matrix(d, d),
                "k": matrix(d, d),
                "v": matrix(d, d),
                "o": matrix(d, d, depth),
                "ffn_norm": torch.ones(d),
                "gate": matrix(d, shape.n_ff),
                "up": matrix(d, shape.n_ff),
                "down": matrix(shape.n_ff, d, depth),
            }
            for _ in range(shape.n_layers)
        ],
    }


def leaves(params: Params) -> Iterator[tuple[dict[str, Tensor], str]]:
    """Yield where each tensor is: a dictionary and the key in it, always in one order."""
    for part in (params, *params["layers"]):
        yield from ((part, key) for key, value in part.items() if isinstance(value, Tensor))


def is_map(part: dict[str, Tensor], key: str) -> bool:
    """Tell whether a tensor is a matrix that maps vectors; the embedding is a table."""
    return part[key].ndim == 2 and key != "embd"


def hidden(params: Params, shape: Shape, tokens: Tensor, segments: Tensor) -> Tensor:
    """Return the last layer's vectors, normalised: [rows, length, n_embd].

    Tokens see those of their own segment only: several texts lie in one row. Segment 0 is padding.
    """
    length = tokens.shape[1]
    seen = segments[:, :, None] == segments[:, None, :]
    seen = (seen & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    turns = _rotations(length, shape)
    x = functional.embedding(tokens, params["embd"])
    for layer in params["layers"]:
        x = x + _attention(layer, shape, _norm(x, layer["attn_norm"]), seen, turns)
        h = _norm(x, layer["ffn_norm"])
        x = x + (functional.silu(h @ layer["gate"]) * (h @ layer["up"])) @ layer["down"]
    return _norm(x, params["norm"])


def logits(params: Params, vectors: Tensor) -> Tensor:
    """Return a score for each token; the output layer is the embedding itself."""
    return vectors @ params["embd"].T


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, weight.shape, weight, EPSILON)


def rates(shape: Shape) -> Tensor:
    """Return by how much each pair of a head's numbers turns from one token to the next."""
    return shape.rope_base ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)


def _rotations(length: int, shape: Shape) -> tuple[Tensor, Tensor]:
    angles = torch.arange(length)[:, None] * rates(shape)
    return angles.cos(), angles.sin()


def _rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs by their position; x is [rows, heads, length, head_dim], see `_apart`."""
    cos, sin = turns
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _apart(matrix: Tensor, shape: Shape) -> Tensor:
    """Put the first numbers of a head's pairs before all second ones, which are faster to turn.

    llama.cpp turns neighbours; queries and keys in another order have the same products.
    """
    pairs = matrix.view(shape.n_embd, shape.n_heads, shape.head_dim // 2, 2)
    return pairs.transpose(2, 3).reshape(matrix.shape)


def _attention(
    layer: dict[str, Tensor],
    shape: Shape,
    x: Tensor,
    seen: Tensor,
    turns: tuple[Tensor, Tensor],
) -> Tensor:
    rows, length, width = x.shape
    # One product is faster than three.
    q, k = (_apart(layer[name], shape) for name in ("q", "k"))
    joined = x @ torch.cat([q, k, layer["v"]], 1)
    q, k, v = joined.view(rows, length, 3, shape.n_heads, shape.head_dim).permute(2, 0, 3, 1, 4)
    mixed = _mixed(_rotated(q, turns), _rotated(k, turns), v, seen)
    return mixed.transpose(1, 2).reshape(rows, length, width) @ layer["o"]


def _mixed(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return what each token takes from those before it, in pieces that skip what comes later."""
    ends = range(_PIECE, q.shape[2] + _PIECE, _PIECE)
    return torch.cat(
        [
            functional.scaled_dot_product_attention(
                q[:, :, end - _PIECE : end],
                k[:, :, :end],
                v[:, :, :end],
                attn_mask=seen[:, :, end - _PIECE : end, :end],
            )
            for end in ends
        ],
        2,
    )
