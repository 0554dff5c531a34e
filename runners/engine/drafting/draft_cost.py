"""Draft cost: time of a proposer's steps, learnt from the steps themselves."""

_FOLLOW = 0.2
_FEW_ROWS = 4
"""Rows of a step that is as fast as one row, as it waits for the weights."""


class DraftCost:
    """Nanoseconds of a step that drafts, and of one row of a prompt; 0: not known.

    The first step of each kind is not counted: it allocates memory, which takes several times as
    long, and a cost that is too high keeps drafts from being tried again.
    """

    def __init__(self) -> None:
        self.step_ns = self.row_ns = 0.0
        self._seen: set[bool] = set()

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step of `n_rows`."""
        is_short = n_rows <= _FEW_ROWS
        if is_short not in self._seen:
            self._seen.add(is_short)
        elif is_short:
            self.step_ns = _follow(self.step_ns, elapsed_ns)
        else:
            self.row_ns = _follow(self.row_ns, elapsed_ns / n_rows)


def _follow(mean: float, value: float) -> float:
    return mean + _FOLLOW * (value - mean) if mean else value
