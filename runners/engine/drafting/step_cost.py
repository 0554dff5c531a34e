"""Step cost: time of a decode step by its number of rows, learnt from the steps themselves."""

import numpy as np
import numpy.typing as npt

MAX_ROWS = 64
_SLOPE = 0.25
"""Time of a further row as a share of the first, before any is measured: 2 cores and a small model.
Wherever rows are cheaper, the first draft shows it."""
_FOLLOW = 0.3
"""How fast the time of one row, and with it all others, follows the steps of one row."""
_FOLLOW_MANY = 0.15
"""The same for steps of several rows."""
_LEARN = 0.35
"""How fast the ratio of several rows to one is learnt; that of twice as many half as fast."""
_FORGET = 0.0003
"""How fast a ratio returns to the line above, so that drafts are tried again."""
_FIRST_DRAFT = 3
"""Rows of the first draft: it is wasted where rows are not cheaper together."""
_MAX_CHANGE = 3.0
"""One slow step is most likely another program's."""


class StepCost:
    """Estimates the time of steps in which every row is an output.

    `times` has the estimate of n rows at index n, in nanoseconds; zeros before the first step. A
    busier machine or a longer context slows all steps down, so one row is the unit of the others:
    where rows cannot share the cores with another program, several cost as much as single ones.
    """

    def __init__(self) -> None:
        counts = np.maximum(np.arange(MAX_ROWS + 1), 1)
        closeness = np.minimum(counts[:, None] / counts, counts / counts[:, None])
        self._weights = _LEARN * closeness * (counts > 1)
        self._line = 1 + _SLOPE * (counts - 1)
        self._ratios = self._line.copy()
        self._n_unforgotten = 0
        self._unit = 0.0
        self._most_rows = 0

    def trusted_rows(self, n_rows: int) -> int:
        """Return the rows up to which a step may grow that has `n_rows` without drafts.

        A step is at most twice as large as one whose time is known, so that finding out what rows
        cost is cheap.
        """
        return max(n_rows + _FIRST_DRAFT, 2 * self._most_rows)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """The estimates."""
        self._forget()
        return self._unit * self._ratios

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step without prompt rows."""
        if n_rows > MAX_ROWS:
            return
        self._most_rows = max(self._most_rows, n_rows)
        if n_rows == 1:
            # Each token of a single stream comes here, and most requests draft nothing.
            unit = self._unit or float(elapsed_ns)
            self._unit = unit * _bounded(elapsed_ns / unit) ** _FOLLOW
        else:
            self._forget()
            if not self._unit:
                self._unit = elapsed_ns / self._line[n_rows]
            change = _bounded(elapsed_ns / (self._unit * self._ratios[n_rows]))
            self._unit *= change**_FOLLOW_MANY
            self._ratios *= change ** self._weights[n_rows]
        self._n_unforgotten += 1

    def _forget(self) -> None:
        """Let the ratios return to the line as far as the steps since the last time say."""
        if self._n_unforgotten:
            share = 1 - (1 - _FORGET) ** self._n_unforgotten
            self._ratios += share * (self._line - self._ratios)
            self._n_unforgotten = 0


def _bounded(change: float) -> float:
    return min(max(change, 1 / _MAX_CHANGE), _MAX_CHANGE)
