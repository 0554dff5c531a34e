"""One training run of a generative model: two processes compute each step together.

Weights and gradients lie in memory that both see. Each computes the gradients of its part of a
batch with one core, and then changes its share of the weights.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, multiprocessing
from torch.nn import functional

from training.model import Params, Shape, hidden, is_map, leaves, logits
from training.optimizer import Optimizer
from training.packing import Rows

_WORKERS = 2
_REPORT = 50
_NORM = 1.0
"""Gradients that are longer are shortened to this."""


@dataclass(frozen=True, slots=True)
class Run:
    """How long and how fast to train."""

    n_steps: int
    n_decay: int
    rate: float


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the workers see together: `gradients` has one row for each of them."""

    params: Params
    gradients: Tensor
    losses: Tensor
    meeting: Barrier


def train(
    run: Run,
    shape: Shape,
    params: Params,
    parts: Sequence[tuple[Rows, int]],
    each_minute: Callable[[], None],
) -> None:
    """Train `params` in place on `parts`: rows of a length, and how many of them a batch takes."""
    size = 0
    for part, key in leaves(params):
        part[key].share_memory_()
        size += part[key].numel()
    shared = _Shared(
        params,
        torch.zeros(_WORKERS, size).share_memory_(),
        torch.zeros(_WORKERS, 2).share_memory_(),
        multiprocessing.get_context("spawn").Barrier(_WORKERS),
    )
    workers = multiprocessing.spawn(_work, (run, shape, shared, parts), _WORKERS, join=False)
    while not workers.join(timeout=60):
        each_minute()


def _work(
    me: int, run: Run, shape: Shape, shared: _Shared, parts: Sequence[tuple[Rows, int]]
) -> None:
    torch.set_num_threads(1)
    weights = [part[key].requires_grad_() for part, key in leaves(shared.params)]
    maps = [is_map(part, key) for part, key in leaves(shared.params)]
    own = sorted(range(len(weights)), key=lambda place: weights[place].shape)[me::_WORKERS]
    optimizer = Optimizer(
        [weights[p] for p in own], [maps[p] for p in own], run.rate, run.n_steps, run.n_decay
    )
    loss = torch.compile(_loss, fullgraph=True, dynamic=False)
    started, mean = time.monotonic(), 0.0
    for number in range(run.n_steps):
        total, weight = torch.zeros(()), 0.0
        for rows, count in parts:
            batch = _batch(rows, number, count, me)
            total = total + loss(shared.params, shape, batch)
            weight += float(batch.weights.sum())
        found = torch.autograd.grad(total, weights)
        torch.cat([gradient.flatten() for gradient in found], out=shared.gradients[me])
        shared.losses[me] = torch.tensor((total.item(), weight))
        shared.meeting.wait()
        mean += _loss_told(shared) / _REPORT
        gradients = _agreed(shared, weights)
        optimizer.step([gradients[place] for place in own])
        shared.meeting.wait()
        if me == 0 and (number + 1) % _REPORT == 0:
            seconds = time.monotonic() - started
            print(f"step {number + 1}  loss {mean:.4f}  {seconds:.0f} s", flush=True)
            mean = 0.0


class _Batch(NamedTuple):
    """Rows of tokens, and which of their places a loss is taken of.

    `places` count through all rows; `targets` come after them, and `weights` are theirs.
    """

    tokens: Tensor
    segments: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor


def _batch(rows: Rows, number: int, count: int, me: int) -> _Batch:
    """Return this worker's part of a step's rows; they are used in turn.

    Scores of all tokens are a fifth of the work. They are computed for answers and, as far as other
    batches have more of them, for some of the prompts.
    """
    first = number * count + me * count // _WORKERS
    part = rows[np.arange(first, first + count // _WORKERS) % len(rows)]
    targets = np.roll(part.tokens, -1, 1).ravel()
    weights = np.roll(part.weights, -1, 1).ravel()
    chance = np.random.default_rng((number, me)).random(len(weights))
    places = np.sort(np.lexsort((chance, -weights))[: len(part) * rows.n_answer])
    return _Batch(
        torch.from_numpy(part.tokens).long(),
        torch.from_numpy(part.segments),
        torch.from_numpy(places),
        torch.from_numpy(targets[places]).long(),
        torch.from_numpy(weights[places]),
    )


def _loss(params: Params, shape: Shape, batch: _Batch) -> Tensor:
    """Return the sum of the cross entropies of the next tokens, each by its weight."""
    vectors = hidden(params, shape, batch.tokens, batch.segments).flatten(0, 1)
    scores = logits(params, vectors[batch.places])
    found = functional.cross_entropy(scores, batch.targets, reduction="none")
    return (found * batch.weights).sum()


def _loss_told(shared: _Shared) -> float:
    total, weight = shared.losses.sum(0).tolist()
    return total / weight


def _agreed(shared: _Shared, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of the mean loss for each weight, of at most a given length."""
    flat = shared.gradients.sum(0) / shared.losses[:, 1].sum()
    flat *= min(1.0, _NORM / float(flat.norm()))
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
