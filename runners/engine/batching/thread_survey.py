"""Thread survey: compare thread counts by their mean step times, with few slow samples; pure."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, variance

_MAX_SAMPLES = 12
"""Steps per count; what is not clear after them makes no difference worth having."""
_MIN_SAMPLES = 3
"""Steps per count before a mean is trusted; obvious cases need two."""
BETTER = 0.97
"""A candidate wins when its mean is at most this share of the present count's."""
_FAR_BETTER = 0.5
_CLEARLY_WORSE = 1.25
_FAR_WORSE = 3.0
_MAX_RATIO = 8.0
"""Longest sample, in usual steps; longer ones are hiccups of the machine."""
_PRIOR_VARIANCE = 0.01**2
"""Added to the variance of few samples, which may be equal by chance."""
_CONFIDENCE = 2.0
"""Standard errors by which two means must differ."""


class ThreadSurvey:
    """Measures candidates in turn with the present count.

    Samples are step times relative to the usual time of a step of that size. Means are compared,
    because on a busy machine some steps of a count are fast and some are several times slower:
    what it costs is the mean, and neither the median nor the majority.
    """

    def __init__(self, candidates: Sequence[int]) -> None:
        self._present: list[float] = []
        self._samples: dict[int, list[float]] = {index: [] for index in candidates}
        self._verdicts: dict[int, bool] = {}
        self._turn = 0

    @property
    def candidates(self) -> tuple[int, ...]:
        """All candidates, decided or not."""
        return tuple(self._samples)

    @property
    def done(self) -> bool:
        """Whether every candidate is decided."""
        return len(self._verdicts) == len(self._samples)

    def next(self) -> int | None:
        """Return the candidate of the next step, or None for the present count."""
        undecided = [index for index in self._samples if index not in self._verdicts]
        turn, self._turn = self._turn, (self._turn + 1) % (len(undecided) + 1)
        return undecided[turn - 1] if 0 < turn <= len(undecided) else None

    def add(self, index: int | None, ratio: float) -> None:
        """Add a sample of a candidate, or of the present count (None)."""
        samples = self._present if index is None else self._samples[index]
        samples.append(min(ratio, _MAX_RATIO))
        for candidate, times in self._samples.items():
            verdict = _verdict(times, self._present)
            if verdict is not None and candidate not in self._verdicts:
                self._verdicts[candidate] = verdict
        self._stop_early()

    def _stop_early(self) -> None:
        """End the survey when one candidate is far better: more would prolong what is slow now."""
        far_better = any(_is_far_better(times, self._present) for times in self._samples.values())
        if far_better and all(len(times) > 1 for times in self._samples.values()):
            for index, times in self._samples.items():
                self._verdicts.setdefault(index, _is_far_better(times, self._present))

    def cost(self, index: int) -> float:
        """Return the time lost to a candidate, in steps of the present count."""
        times = self._samples[index]
        return max(0.0, sum(times) / fmean(self._present) - len(times))

    def best(self) -> int | None:
        """Return the fastest of the candidates that beat the present count, if any does."""
        means = {index: fmean(self._samples[index]) for index, won in self._verdicts.items() if won}
        return min(means, key=means.__getitem__, default=None)


def _is_far_better(times: list[float], present: list[float]) -> bool:
    if min(len(times), len(present)) < 2:
        return False
    return max(times) < _FAR_BETTER * fmean(present)


def _verdict(times: list[float], present: list[float]) -> bool | None:
    """Return whether a candidate is better than the present count, None while that is open."""
    n = min(len(times), len(present))
    if n == 0:
        return None
    mean, other = fmean(times), fmean(present)
    if n < _MIN_SAMPLES:
        if mean > _FAR_WORSE * other or (n > 1 and min(times) > _CLEARLY_WORSE * other):
            return False
        return True if _is_far_better(times, present) else None
    margin = _CONFIDENCE * sqrt(_error(times) + _error(present))
    if mean <= BETTER * other and other - mean > margin:
        return True
    return False if mean - BETTER * other > margin or n >= _MAX_SAMPLES else None


def _error(samples: list[float]) -> float:
    """Return the squared standard error of the mean."""
    return (variance(samples) + _PRIOR_VARIANCE) / len(samples)
