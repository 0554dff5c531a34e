"""A Llama in JAX, computing what llama.cpp computes with the exported weights."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Params = dict[str, Any]
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model; every row must be a multiple of 32 long, a block of Q8_0."""

    n_vocab: int
    n_embd: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_ff: int
    rope_base: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_heads


def initial(shape: Shape, seed: int) -> Params:
    """Return random weights; matrices map rows: `x @ w`."""
    keys = iter(jax.random.split(jax.random.key(seed), 1 + 7 * shape.n_layers))

    def matrix(n_in: int, n_out: int, scale: float = 1.0) -> jax.Array:
        return jax.random.normal(next(keys), (n_in, n_out)) * scale * n_in**-0.5

    n_kv = shape.head_dim * shape.n_kv_heads
    d, depth = shape.n_embd, (2 * shape.n_layers) ** -0.5
    return {
        "embd": jax.random.normal(next(keys), (shape.n_vocab, d)) * 0.15,
        "norm": jnp.ones(d),
        "layers": [
            {
                "attn_norm": jnp.ones(d),
                "q": matrix(d, d),
                "k": matrix(d, n_kv),
                "v": matrix(d, n_kv),
                "o": matrix(d, d, depth),
                "ffn_norm": jnp.ones(d),
                "gate": matrix(d, shape.n_ff),
                "up": matrix(d, shape.n_ff),
                "down": matrix(shape.n_ff, d, depth),
            }
            for _ in range(shape.n_layers)
        ],
    }


def hidden(params: Params, shape: Shape, tokens: jax.Array, segments: jax.Array) -> jax.Array:
    """Return the last layer's vectors, normalised: [rows, length, n_embd].

    Tokens see those of their own segment only: several texts lie in one row. Segment 0 is padding.
    """
    length = tokens.shape[1]
    seen = segments[:, :, None] == segments[:, None, :]
    seen &= jnp.tril(jnp.ones((length, length), bool))
    turns = _rotations(length, shape)
    x = params["embd"][tokens]
    for layer in params["layers"]:
        x = x + _attention(layer, shape, _norm(x, layer["attn_norm"]), seen, turns)
        h = _norm(x, layer["ffn_norm"])
        x = x + (jax.nn.silu(h @ layer["gate"]) * (h @ layer["up"])) @ layer["down"]
    return _norm(x, params["norm"])


def logits(params: Params, vectors: jax.Array) -> jax.Array:
    """Return a score for each token; the output layer is the embedding itself."""
    return vectors @ params["embd"].T


def _norm(x: jax.Array, weight: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * weight


def rates(shape: Shape) -> jax.Array:
    """Return by how much each pair of a head's numbers turns from one token to the next."""
    return shape.rope_base ** (-jnp.arange(0, shape.head_dim, 2) / shape.head_dim)


def _rotations(length: int, shape: Shape) -> tuple[jax.Array, jax.Array]:
    angles = jnp.arange(length)[:, None] * rates(shape)
    return jnp.cos(angles), jnp.sin(angles)


def _rotated(x: jax.Array, turns: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turn neighbouring pairs by their position; x is [rows, heads, length, head_dim]."""
    cos, sin = turns
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


def _attention(
    layer: Params,
    shape: Shape,
    x: jax.Array,
    seen: jax.Array,
    turns: tuple[jax.Array, jax.Array],
) -> jax.Array:
    rows, length, _ = x.shape

    def heads(name: str, count: int) -> jax.Array:
        return (x @ layer[name]).reshape(rows, length, count, shape.head_dim).swapaxes(1, 2)

    groups = shape.n_heads // shape.n_kv_heads
    q = _rotated(heads("q", shape.n_heads), turns)
    k = jnp.repeat(_rotated(heads("k", shape.n_kv_heads), turns), groups, axis=1)
    v = jnp.repeat(heads("v", shape.n_kv_heads), groups, axis=1)
    scores = (q @ k.swapaxes(2, 3)) * shape.head_dim**-0.5
    scores = jnp.where(seen[:, None], scores, -1e9)
    mixed = jax.nn.softmax(scores, -1) @ v
    return mixed.swapaxes(1, 2).reshape(rows, length, -1) @ layer["o"]
