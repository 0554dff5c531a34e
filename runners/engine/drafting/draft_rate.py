"""Acceptance rate of a draft model's tokens in one request, and how many are worth it; pure.

A token that the draft model finds clear is more often the one that is sampled, so the rate is
learnt by the margin between its two best logits.
"""

from bisect import bisect

import numpy as np
import numpy.typing as npt

from runners.engine.drafting.draft_cost import DraftCost

Times = npt.NDArray[np.float64]

_MARGINS = (0.5, 1.0, 2.0, 3.0, 5.0)
_PRIORS = (0.3, 0.45, 0.6, 0.75, 0.87, 0.95)
"""Chance that a token with up to such a margin is accepted, before the request shows it."""
_WEIGHT = 6.0
"""Observations that a prior counts for."""
_MEMORY = 0.97
_MEAN = 0.7
_LEAST = 0.4
"""Chance below which a draft ends."""
_FOLLOW = 0.1
_MIN_GAIN = 1.08
"""Expected tokens per time, by those without drafts, from which on they are worth it."""
_TRIAL = 2
"""Tokens of a draft that finds out whether it has become worth it."""
_RESTS = (8, 32)
"""Steps without drafts after they were not worth it; after the last rest the request has none: what
the draft model did not follow, it would have to compute."""
_ANSWER = 256
"""Tokens that an answer has at least, when the cost of computing its prompt is judged."""
_SAVED = 0.3
"""Share of a step that a draft is expected to save."""


_FOLLOW_HISTORY = 0.02


class DraftHistory:
    """The mean of the requests so far, from which the next one begins; for all threads."""

    def __init__(self) -> None:
        self.mean = _MEAN

    def record(self, *, hit: bool) -> None:
        """Record whether a drafted token was the one that was sampled."""
        self.mean += _FOLLOW_HISTORY * (hit - self.mean)


class DraftRate:
    """Learns from verified drafts; `length` before each step, `record` after each draft."""

    __slots__ = ("_history", "_hits", "_mean", "_n_rests", "_rest", "_total")

    def __init__(self, history: DraftHistory) -> None:
        self._history = history
        self._hits = [prior * _WEIGHT for prior in _PRIORS]
        self._total = [_WEIGHT] * len(_PRIORS)
        self._mean = history.mean
        self._rest = self._n_rests = 0

    @property
    def is_off(self) -> bool:
        """Whether the request has no drafts of the model any more."""
        return self._n_rests > len(_RESTS)

    def chance(self, margin: float) -> float:
        """Return the chance that a token with this margin is accepted."""
        level = bisect(_MARGINS, margin)
        return self._hits[level] / self._total[level]

    @property
    def min_margin(self) -> float:
        """The margin from which on a token is worth a row, and that of the next one."""
        likely = [
            hits / total >= _LEAST for hits, total in zip(self._hits, self._total, strict=True)
        ]
        level = likely.index(True) if True in likely else len(_MARGINS)
        return (0.0, *_MARGINS)[level]

    def record(self, margin: float, *, hit: bool) -> None:
        """Record whether a drafted token was the one that was sampled."""
        level = bisect(_MARGINS, margin)
        self._hits[level] = self._hits[level] * _MEMORY + hit
        self._total[level] = self._total[level] * _MEMORY + 1
        self._mean += _FOLLOW * (hit - self._mean)
        self._history.record(hit=hit)

    def length(self, most: int, times: Times, n_rows: int, cost: DraftCost) -> int:
        """Return how many tokens to draft, up to `most`, in a step of `n_rows` without drafts.

        `times` are those of `StepCost`.
        """
        if self.is_off:
            return 0
        if self._rest:
            self._rest -= 1
            return 0 if self._rest else min(most, _TRIAL)
        best, best_gain = 0, _MIN_GAIN
        expected = chance = 1.0
        for count in range(1, min(most, len(times) - 1 - n_rows) + 1):
            chance *= self._mean
            expected += chance
            gain = expected * times[n_rows] / (times[n_rows + count] + count * cost.step_ns)
            if gain > best_gain:
                best, best_gain = count, gain
        if not times[n_rows]:
            return min(most, _TRIAL)
        if not best:
            if self._n_rests < len(_RESTS):
                self._rest = _RESTS[self._n_rests]
            self._n_rests += 1
        return best


def is_worth_following(n_behind: int, n_sampled: int, step_ns: float, cost: DraftCost) -> bool:
    """Return whether the draft model should compute `n_behind` tokens to draft for an answer.

    A long prompt costs it more time than a short answer gives back.
    """
    saved = _SAVED * step_ns * max(_ANSWER, n_sampled)
    return n_behind * cost.row_ns <= saved
