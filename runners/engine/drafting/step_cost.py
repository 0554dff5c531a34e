"""Step cost: time of a decode step by its number of rows, learnt from the steps themselves."""

import numpy as np
import numpy.typing as npt

MAX_ROWS = 64
_SLOPE = 0.25
"""Time of a further row as a share of the first, before any is measured: 2 cores and a small model.
Wherever rows are cheaper, the first draft shows it."""
_OWN, _COMMON = 0.3, 0.15
"""How fast the time of a row count follows its own steps, and those of all others."""
_REACH = 3.0
"""Row counts whose times change with a measured one."""
_FORGET = 0.002
"""How fast a time that is not measured returns to the line above, so that it is tried again."""
_MAX_CHANGE = 2.0
"""One slow step is most likely another program's."""


class StepCost:
    """Estimates the time of steps in which every row is an output.

    `times` has the estimate of n rows at index n, in nanoseconds, once a step was recorded. A
    busier machine or a longer context slows all down alike, so each step moves all estimates a
    little and its neighbours more.
    """

    def __init__(self) -> None:
        counts = np.arange(MAX_ROWS + 1)
        distance = np.abs(counts[:, None] - counts[None, :])
        self._weights = _COMMON + (_OWN - _COMMON) * np.exp(-distance / _REACH)
        self._line = 1 + _SLOPE * (counts - 1)
        self.times: npt.NDArray[np.float64] = np.zeros(MAX_ROWS + 1)

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step without prompt rows."""
        if n_rows > MAX_ROWS:
            return
        if not self.times[-1]:
            self.times = self._line * (elapsed_ns / self._line[n_rows])
        change = elapsed_ns / self.times[n_rows]
        change = min(max(change, 1 / _MAX_CHANGE), _MAX_CHANGE)
        self.times *= change ** self._weights[n_rows]
        self.times += _FORGET * (self._line * self.times[1] - self.times)
