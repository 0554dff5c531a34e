"""Draft cost: time of a draft model's steps, learnt from the steps themselves."""

_FOLLOW = 0.2
_FEW_ROWS = 4
"""Rows of a step that is as fast as one row, as it waits for the weights."""


class DraftCost:
    """Nanoseconds of a step that drafts, and of one row of a prompt; 0: not known."""

    def __init__(self) -> None:
        self.step_ns = self.row_ns = 0.0

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step of `n_rows`."""
        if n_rows <= _FEW_ROWS:
            self.step_ns = _follow(self.step_ns, elapsed_ns)
        else:
            self.row_ns = _follow(self.row_ns, elapsed_ns / n_rows)


def _follow(mean: float, value: float) -> float:
    return mean + _FOLLOW * (value - mean) if mean else value
