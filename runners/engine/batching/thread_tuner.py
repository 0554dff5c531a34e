"""Thread tuner: number of threads of each step, chosen by measuring the steps themselves.

llama.cpp's threads wait for each other after every operation. As soon as another program needs one
of the cores, each of the many barriers in a step waits for a thread that is not running, and a
count that was the fastest becomes several times slower than half of it. No number known at start is
right, so the loop's own steps are the measurement: a few of them run with another count now and
then, more when steps suddenly take longer or cores become free.

Steps that generate are short, so trying another count with one costs little. Steps of whole prompts
take seconds: they are never used to try something. When the count for prompts is in doubt, the loop
cuts a part of a prompt into small pieces, and those are measured.
"""

from collections.abc import Callable

from runners.engine.batching.thread_climb import ThreadClimb

FEW_ROWS = 16
"""Steps of up to this many rows wait for memory, larger ones for arithmetic: two optima."""
PIECE_ROWS = 32
"""Rows of a prompt step that may try another count."""
MAX_PIECE_ROWS = 2 * PIECE_ROWS
"""Rows of the largest step of prompts with which another count is tried."""


class ThreadTuner:
    """Picks the number of threads for each step of one context.

    Call `choose` before a step and `record` after it. Small steps (generating) and large ones
    (prompts) are tuned apart; a change seen by one makes the other check too. `limit` says how many
    rows of prompts the next step may have.
    """

    def __init__(
        self,
        max_threads: int,
        *,
        min_threads: int = 1,
        free_cores: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Start at `max_threads`; with an equal `min_threads` nothing is tuned.

        `free_cores` is called before each step and returns how many cores other programs leave
        free, None while nothing new is known.
        """
        counts = _ladder(min_threads, max_threads)
        self._is_fixed = len(counts) == 1
        self._few = ThreadClimb(counts, drift=0.01, watches=True)
        self._many = ThreadClimb(counts, drift=0.15, watches=False)
        self._free_cores = free_cores

    @property
    def n_threads(self) -> int:
        """The count of steps that generate, apart from measurements."""
        return self._few.n_threads

    def limit(self, n_rows: int) -> int:
        """Return how many of `n_rows` prompt rows the next step may have."""
        if self._is_fixed:
            return n_rows
        self._note_free_cores()
        return PIECE_ROWS if n_rows > MAX_PIECE_ROWS and self._many.is_due else n_rows

    def choose(self, n_rows: int) -> int:
        """Return the number of threads for the next step, which computes `n_rows` rows."""
        if self._is_fixed:
            return self.n_threads
        self._note_free_cores()
        if n_rows <= FEW_ROWS:
            return self._few.choose(_size_class(n_rows))
        return self._many.choose(_size_class(n_rows), may_try=n_rows <= MAX_PIECE_ROWS)

    def _note_free_cores(self) -> None:
        free = self._free_cores()
        if free is not None:
            self._few.note_free(free)
            self._many.note_free(free)

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Record the time of the step for which `choose` was called last."""
        if self._is_fixed:
            return
        climb, other = self._few, self._many
        if n_rows > FEW_ROWS:
            climb, other = other, climb
        if climb.record(_size_class(n_rows), elapsed_ns / n_rows, elapsed_ns):
            other.check()


def _ladder(lowest: int, highest: int) -> tuple[int, ...]:
    """Return counts worth telling apart: neighbours differ by one or by about a fifth."""
    counts = [highest]
    while counts[-1] > lowest:
        counts.append(max(lowest, counts[-1] - max(1, counts[-1] // 5)))
    return tuple(reversed(counts))


def _size_class(n_rows: int) -> int:
    """Return the class of a step; those of one class take about the same time per row."""
    return n_rows if n_rows <= FEW_ROWS else FEW_ROWS + n_rows.bit_length()
