"""How weights are updated: Muon for matrices, Adam for the rest, and a long decay.

Muon (Jordan, 2024) replaces the momentum of a matrix by the nearest matrix whose singular values
are about one. Matrices of one size are made so together, which is several times faster.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

_WARM_UP = 60
_MOMENTUM = 0.95
_DECAY = 0.02
_RMS = 0.2
"""Size of a matrix's change beside the rate, about that of Adam's (Liu et al., 2025)."""
_ROUNDS = 5
_A, _B, _C = 3.4445, -4.775, 2.0315
"""Of the polynomial that pulls singular values to one in so many rounds."""
_BETAS = 0.9, 0.98


class Optimizer:
    """Changes `weights` in place; the last `n_decay` of `n_steps` steps are ever smaller."""

    def __init__(
        self, weights: Sequence[Tensor], is_map: Sequence[bool], peak: float, n_steps: int,
        n_decay: int,
    ) -> None:  # fmt: skip
        self._weights = weights
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = {
            place: torch.zeros_like(weight)
            for place, weight in enumerate(weights)
            if not is_map[place]
        }
        self._alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, weight in enumerate(weights):
            if is_map[place]:
                self._alike[min(weight.shape), max(weight.shape)].append(place)
        self._peak, self._n_steps, self._n_decay = peak, n_steps, n_decay
        self._number = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step, given the gradient of each weight."""
        self._number += 1
        rate = self._peak * min(
            1.0, self._number / _WARM_UP, (self._n_steps - self._number) / self._n_decay
        )
        for place in self._squares:
            self._adam(place, gradients[place], rate)
        for places in self._alike.values():
            self._muon(places, gradients, rate)

    def _adam(self, place: int, gradient: Tensor, rate: float) -> None:
        mean, square = self._means[place], self._squares[place]
        mean.lerp_(gradient, 1 - _BETAS[0])
        square.lerp_(gradient * gradient, 1 - _BETAS[1])
        mean_share, square_share = (1 - beta**self._number for beta in _BETAS)
        size = (square / square_share).sqrt_().add_(1e-8)
        self._weights[place].addcdiv_(mean, size, value=-rate / mean_share)

    def _muon(self, places: Sequence[int], gradients: Sequence[Tensor], rate: float) -> None:
        ahead = []
        for place in places:
            mean = self._means[place].mul_(_MOMENTUM).add_(gradients[place])
            ahead.append(_wide(gradients[place] + _MOMENTUM * mean))
        for place, change in zip(places, _orthogonal(torch.stack(ahead)), strict=True):
            weight = _wide(self._weights[place])
            weight.mul_(1 - rate * _DECAY).sub_(change, alpha=rate)


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def _orthogonal(x: Tensor) -> Tensor:
    """Return matrices with singular values of about one: [count, rows, columns]."""
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = _A * x + torch.baddbmm(square, square, square, beta=_B, alpha=_C) @ x
    return x * _RMS * max(x.shape[1:]) ** 0.5
