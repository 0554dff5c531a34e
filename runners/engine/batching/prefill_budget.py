"""Prefill budget: prompt rows per step while streams run, and their split among prompts; pure."""

from collections.abc import Sequence

_STREAM_PAUSE_NS = 150_000_000
"""Longest step with prompt rows while streams wait for their next token."""
_MIN_ROWS = 32
"""One row costs nearly as much as this many together."""
_SMOOTHING = 0.2


def split_rows(pending: Sequence[int], budget: int) -> list[int]:
    """Return the rows of each prompt in this step, given what each still needs, oldest first.

    The shortest prompts come first, which minimises the mean time to the first token. Half of the
    rows are reserved for the oldest prompt, so that it cannot starve.
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
    """Learns how many prompt rows a step may have without stalling running streams."""

    def __init__(self, n_batch: int) -> None:
        self._n_batch = n_batch
        self._row_ns = _STREAM_PAUSE_NS / max(n_batch // 4, 1)

    @property
    def n_rows(self) -> int:
        """Prompt rows that a step may have while other sequences generate."""
        return int(min(max(_STREAM_PAUSE_NS / self._row_ns, _MIN_ROWS), self._n_batch))

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of a step; small steps are ignored, since they cost more per row."""
        if n_rows >= _MIN_ROWS:
            self._row_ns += _SMOOTHING * (elapsed_ns / n_rows - self._row_ns)
