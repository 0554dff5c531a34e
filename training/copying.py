"""Weights to begin with that can copy already.

Much of what the guide says stands in its prompt: names of tools, arguments, results. The circuit
for "what came after this token before?" takes two layers that are of no use alone, so training
finds it late. Here it is laid out from the start (an induction head), and training refines it:

- layer 0, head 0 looks at the token before, by position alone, and notes it in `_NOTES`;
- layer 1, heads 0 and 1 look for notes of the current token, and repeat the token that has them.
"""

import torch

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


def lay_out_copying(params: Params, shape: Shape, seed: int) -> None:
    """Put the circuit in place of some random weights."""
    d, size = shape.n_embd, shape.head_dim
    content, notes = slice(1, d - _N_NOTES), slice(d - _N_NOTES, d)
    params["embd"][:, notes] = 0.0
    params["embd"][:, _CONSTANT] = _LEVEL
    for layer in params["layers"]:
        # All add little yet, so that they do not drown what is laid out.
        layer["o"] *= _QUIET
        layer["down"] *= _QUIET
    width = d - _N_NOTES - 1
    random = torch.randn(width, width, generator=torch.Generator().manual_seed(seed + 1))
    basis = torch.linalg.qr(random)[0]
    first, second = basis[:, :size], basis[:, size : 2 * size]
    one, two, *_ = params["layers"]
    turns = rates(shape)[:_FAST]
    head, fast = slice(0, size), torch.arange(_FAST) * 2
    for name in ("q", "k", "v"):
        one[name][:, head] = 0.0
    one["q"][_CONSTANT, fast] = _BY_POSITION
    one["k"][_CONSTANT, fast] = _BY_POSITION * turns.cos()
    one["k"][_CONSTANT, fast + 1] = _BY_POSITION * turns.sin()
    one["v"][content, head] = first
    one["o"][head] = 0.0
    one["o"][head, notes] = _NOTE * torch.eye(size)
    slow = size - 2 * _SLOW
    for number, values in enumerate((first, second)):
        head = slice(number * size, (number + 1) * size)
        matched = slice(number * size + 2 * _SLOW, (number + 1) * size)
        for name in ("q", "k", "v"):
            two[name][:, head] = 0.0
        two["q"][content, matched] = _BY_CONTENT * first[:, :slow]
        two["k"][d - _N_NOTES : d - _N_NOTES + slow, matched] = _BY_CONTENT * torch.eye(slow)
        two["v"][content, head] = values
        two["o"][head] = 0.0
        two["o"][head, content] = _REPEAT * values.T
