"""Weights to begin with that can copy already.

Much of what the guide says stands in its prompt: names of tools, arguments, results. The circuit
for "what came after this token before?" takes two layers that are of no use alone, so training
finds it late. Here it is laid out from the start (an induction head), and training refines it:

- layer 0, head 0 looks at the token before, by position alone, and notes it in `_NOTES`;
- layer 1, heads 0 and 1 look for notes of the current token, and repeat the token that has them.
"""

import jax
import jax.numpy as jnp

from training.model import Params, Shape, rates

_CONSTANT = 0
"""A dimension that is the same for all tokens, for attention by position."""
_N_NOTES = 32
"""The last dimensions are empty at first: room for a note of the token before."""
_LEVEL = 0.6
_BY_POSITION = 2.2
_BY_CONTENT = 1.9
_NOTE, _REPEAT = 0.18, 0.3
_QUIET = 0.05
_FAST, _SLOW = 3, 6
"""Pairs that tell neighbours apart, and those (from this one on) that hardly turn in a prompt."""


def with_copying(params: Params, shape: Shape, seed: int) -> Params:
    """Return `params` with the circuit in place of some random weights."""
    d, size = shape.n_embd, shape.head_dim
    content = slice(1, d - _N_NOTES)
    notes = slice(d - _N_NOTES, d)
    embd = params["embd"].at[:, notes].set(0.0).at[:, _CONSTANT].set(_LEVEL)
    width = d - _N_NOTES - 1
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(seed + 1), (width, width)))[0]
    first, second = basis[:, :size], basis[:, size : 2 * size]
    one, two, *others = (_quiet(layer) for layer in params["layers"])
    turns = rates(shape)[:_FAST]
    fast = jnp.arange(_FAST) * 2
    head = slice(0, size)
    one["q"] = one["q"].at[:, head].set(0.0).at[_CONSTANT, fast].set(_BY_POSITION)
    one["k"] = (
        one["k"]
        .at[:, head].set(0.0)
        .at[_CONSTANT, fast].set(_BY_POSITION * jnp.cos(turns))
        .at[_CONSTANT, fast + 1].set(_BY_POSITION * jnp.sin(turns))
    )  # fmt: skip
    one["v"] = one["v"].at[:, head].set(0.0).at[content, head].set(first)
    one["o"] = one["o"].at[head].set(0.0).at[head, notes].set(_NOTE * jnp.eye(size))
    slow = size - 2 * _SLOW
    for number, values in enumerate((first, second)):
        head = slice(number * size, (number + 1) * size)
        matched = slice(number * size + 2 * _SLOW, (number + 1) * size)
        noted = slice(d - _N_NOTES, d - _N_NOTES + slow)
        two["q"] = (
            two["q"].at[:, head].set(0.0).at[content, matched].set(_BY_CONTENT * first[:, :slow])
        )
        two["k"] = two["k"].at[:, head].set(0.0).at[noted, matched].set(_BY_CONTENT * jnp.eye(slow))
        two["v"] = two["v"].at[:, head].set(0.0).at[content, head].set(values)
        two["o"] = two["o"].at[head].set(0.0).at[head, content].set(_REPEAT * values.T)
    return {**params, "embd": embd, "layers": [one, two, *others]}


def _quiet(layer: Params) -> Params:
    """Return a layer that adds little yet, so that it does not drown what is laid out."""
    return {**layer, "o": _QUIET * layer["o"], "down": _QUIET * layer["down"]}
