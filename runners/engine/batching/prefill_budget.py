"""How the rows of a step are divided among prompts; pure."""

from collections.abc import Sequence

_STREAM_PAUSE_NS = 150_000_000
"""How long a step may take that makes running streams wait for others' prompts."""
_LEAST_ROWS = 32
"""A row alone costs nearly as much as this many together."""
_SMOOTHING = 0.2


def split_rows(pending: Sequence[int], budget: int) -> list[int]:
    """Return how many rows each prompt gets, given what each still needs, oldest first.

    The shortest are served first, because most first tokens come soonest that way, but half of
    the rows are kept for the oldest prompt, which so ends whatever comes after it.
    """
    rows = [0] * len(pending)
    if not pending:
        return rows
    rows[0] = min(pending[0], max(budget // 2, min(budget, 1)))
    left = budget - rows[0]
    for index in sorted(range(1, len(pending)), key=pending.__getitem__):
        rows[index] = min(pending[index], left)
        left -= rows[index]
    rows[0] += min(pending[0] - rows[0], left)
    return rows


class PrefillBudget:
    """Learns how many prompt rows a step may have so that running streams do not halt."""

    def __init__(self, n_batch: int) -> None:
        self._n_batch = n_batch
        self._row_ns = _STREAM_PAUSE_NS / max(n_batch // 4, 1)

    @property
    def n_rows(self) -> int:
        """Rows that a step may spend on prompts while others are generating."""
        return int(min(max(_STREAM_PAUSE_NS / self._row_ns, _LEAST_ROWS), self._n_batch))

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Tell what a step of `n_rows` took; steps of few rows say nothing about many."""
        if n_rows >= _LEAST_ROWS:
            self._row_ns += _SMOOTHING * (elapsed_ns / n_rows - self._row_ns)
