"""Draft budget: drafted rows of a step, by expected tokens per time; pure."""

from collections.abc import Sequence
from heapq import merge

import numpy as np
import numpy.typing as npt

_MIN_GAIN = 1.1
"""Expected gain from which on drafts are worth it: estimates are not exact."""
_MAX_SLOWDOWN = 1.25
"""How much longer a step may take for sequences without a draft in it."""


def allocate(
    chances: Sequence[Sequence[float]], n_rows: int, times: npt.NDArray[np.float64]
) -> list[int]:
    """Return how many drafted tokens of each sequence to compute.

    `chances[i][j]` is the chance that the first j + 1 drafted tokens of sequence i are accepted.
    `n_rows` are the step's rows without drafts, one for each generating sequence, and `times[n]`
    is the time of n rows. The result has most expected tokens per time.
    """
    counts = [0] * len(chances)
    ordered = list(
        merge(
            *([(-chance, i) for chance in own] for i, own in enumerate(chances)),
        )
    )[: max(len(times) - 1 - n_rows, 0)]
    if not ordered or not times[n_rows]:
        return counts
    expected = n_rows + np.cumsum([-chance for chance, _ in ordered])
    durations = times[n_rows + 1 : n_rows + 1 + len(ordered)]
    rates = expected / durations
    if sum(map(bool, chances)) < n_rows:
        rates[durations > _MAX_SLOWDOWN * times[n_rows]] = 0
    best = int(rates.argmax())
    if rates[best] * times[n_rows] < _MIN_GAIN * n_rows:
        return counts
    for _, i in ordered[: best + 1]:
        counts[i] += 1
    return counts
