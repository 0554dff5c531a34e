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

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from statistics import fmean, median

from runners.engine.batching.thread_survey import ThreadSurvey

FEW_ROWS = 16
"""Steps of up to this many rows wait for memory, larger ones for arithmetic: two optima."""
PIECE_ROWS = 32
"""Rows of a prompt step that may try another count."""
MAX_PIECE_ROWS = 2 * PIECE_ROWS
"""Rows of the largest step of prompts with which another count is tried."""
_RECENT = 8
_MIN_REFERENCE = 3
_SLOWED = 1.3
"""Steps that take this many times their usual time suggest that the machine has changed."""
_MAX_OUTLIER = 3.0
"""Largest weight of one slow step in that decision."""
_BUDGET = 0.008
"""Share of all time that steps with a slower candidate may cost."""
_MAX_SAVED = 30.0
"""Most that is saved of that budget, in steps."""
_REST = 32
"""Steps between two surveys without a cause."""
_MAX_DOUBLINGS = 5
"""Most times that this rest is doubled: once for each survey in a row that the highest count won
clearly. Only a change of the machine makes that otherwise, and most changes are noticed at once."""
_CLEAR_COST = 0.3
"""Steps that such a survey has lost; one that costs less may be repeated as often as before."""
_FIRST_REST = 48
"""Steps before the first survey: a short answer after a load is not slowed down."""
_NEWLY_FREE = 0.6
"""Cores that others must have left to make more threads worth trying at once."""
_TAKEN = 0.6
"""Cores that others must use after a load to make fewer threads worth trying at once."""


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

        `free_cores` returns how many cores other programs left free lately, None when that is not
        known. It is called before each step until the first survey, and while a count is below
        `max_threads`.
        """
        counts = _ladder(min_threads, max_threads)
        self._is_fixed = len(counts) == 1
        self._few = _Climb(counts, drift=0.01, watches=True)
        self._many = _Climb(counts, drift=0.15, watches=False)
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
        if self._few.needs_free or self._many.needs_free:
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
        if climb.record(_size_class(n_rows), elapsed_ns / n_rows):
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


class _Reference:
    """Times per row of the steps of one size class with the present count."""

    __slots__ = ("_drift", "recent", "usual")

    def __init__(self, drift: float) -> None:
        self.recent: deque[float] = deque(maxlen=_RECENT)
        self.usual = 0.0
        self._drift = drift

    def add(self, time: float) -> None:
        self.recent.append(time)
        if len(self.recent) <= _MIN_REFERENCE or not self.usual:
            self.accept()
        else:
            # A slow change, such as a context that fills, is no reason to measure.
            self.usual *= 1 + self._drift if time > self.usual else 1 - self._drift

    @property
    def known(self) -> bool:
        """Whether there are enough steps to compare a candidate's with."""
        return len(self.recent) >= _MIN_REFERENCE

    @property
    def slowed(self) -> bool:
        """Whether the latest steps, several of them and the last, took longer than usual."""
        if len(self.recent) <= _MIN_REFERENCE or self.recent[-1] <= _SLOWED * self.usual:
            return False
        latest = list(self.recent)[-5:]
        ratios = [min(time / self.usual, _MAX_OUTLIER) for time in latest]
        return fmean(ratios) > _SLOWED and sum(ratio > _SLOWED for ratio in ratios) > 1

    def accept(self) -> None:
        """Take the present times for usual."""
        self.usual = median(self.recent)


class _Climb:
    """Climbs to the fastest count for one kind of step, and notices when it is no longer that.

    With `watches`, neighbours of the present count are tried now and then without a cause; else
    only when steps slow down, when the other climb moves, or to get back to the highest count.
    """

    def __init__(self, counts: tuple[int, ...], *, drift: float, watches: bool) -> None:
        self._counts, self._drift, self._watches = counts, drift, watches
        self._present = len(counts) - 1
        self._current: int | None = None
        """The candidate of the current step, None for the present count."""
        self._references: dict[int, _Reference] = {}
        self._survey: ThreadSurvey | None = None
        self._units: dict[int, float] = {}
        """Usual times per row when the survey began, by size class."""
        self._costs: dict[int, float] = {}
        self._saved = _MAX_SAVED
        self._rested = _REST - _FIRST_REST
        self._direction = -1
        self._alarmed = False
        self._surveyed = False
        self._n_confirmed = 0
        """Surveys in a row that the present count won clearly."""
        self._least_free: float | None = None

    @property
    def n_threads(self) -> int:
        return self._counts[self._present]

    @property
    def is_reduced(self) -> bool:
        """Whether the present count is not the highest."""
        return self._present < len(self._counts) - 1

    @property
    def needs_free(self) -> bool:
        """Whether `note_free` may start a survey."""
        return len(self._counts) > 1 and (self.is_reduced or not self._surveyed)

    @property
    def is_due(self) -> bool:
        """Whether a survey is running or should begin."""
        if self._survey is None and self._can_begin():
            self._survey = self._begin()
        return self._survey is not None

    def check(self) -> None:
        """Survey near and far counts soon, because the machine may have changed."""
        self._alarmed = True

    def note_free(self, free: float) -> None:
        """Record how many cores are free.

        More than before are a reason for a survey, and so are fewer than threads before the first
        one: a machine that is busy from the start never shows steps that become slower.
        """
        if not self._surveyed and free <= self.n_threads - _TAKEN:
            self._alarmed = True
        if self._least_free is None or free < self._least_free:
            self._least_free = free
        elif free >= self._least_free + _NEWLY_FREE and self.is_reduced and self._survey is None:
            self._least_free = None
            self._alarmed = True
            self._saved = max(self._saved, 1.0)

    def choose(self, size_class: int, *, may_try: bool = True) -> int:
        self._current = None
        reference = self._references.get(size_class)
        if may_try and reference is not None and reference.known and self.is_due:
            assert self._survey is not None
            self._current = self._survey.next()
        return self._counts[self._present if self._current is None else self._current]

    def record(self, size_class: int, time: float) -> bool:
        """Record a step's time per row; return whether the present count changed."""
        self._rested += 1
        self._saved = min(_MAX_SAVED, self._saved + _BUDGET)
        reference = self._references.get(size_class)
        if self._current is None:
            if reference is None:
                reference = self._references[size_class] = _Reference(self._drift)
            reference.add(time)
            if reference.slowed and not self._alarmed:
                self._alarmed = True
                self._survey = None  # it compares with times that are no longer true
        survey = self._survey
        if survey is None:
            return False
        if reference is None or not reference.known:
            return False
        # One unit for all of a survey: the reference follows the samples of the present count.
        unit = self._units.setdefault(size_class, reference.usual)
        survey.add(self._current, time / unit)
        return survey.done and self._conclude(survey)

    def _can_begin(self) -> bool:
        if self._alarmed:
            return self._saved > 0
        if self.is_reduced:
            return self._rested >= _REST
        return self._watches and self._rested >= _REST << min(self._n_confirmed, _MAX_DOUBLINGS)

    def _begin(self) -> ThreadSurvey | None:
        candidates = self._around() if self._alarmed else self._neighbour()
        self._rested = 0
        self._units.clear()
        return ThreadSurvey(candidates) if candidates else None

    def _neighbour(self) -> list[int]:
        """Return a neighbour of the present count, up and down in turn, if it can be afforded."""
        if not 0 <= self._present + self._direction < len(self._counts):
            self._direction = -self._direction
        neighbour = self._present + self._direction
        if not 0 <= neighbour < len(self._counts) or self._costs.get(neighbour, 1.0) > self._saved:
            return []
        self._direction = -self._direction
        return [neighbour]

    def _around(self) -> list[int]:
        """Return both neighbours, about half and a quarter of the count, and the highest.

        With several cores taken every count above those left over is slow, so looking only at the
        neighbours would find no way down; when all are free again, none up.
        """
        n = self.n_threads
        far = (bisect_right(self._counts, count) - 1 for count in (n // 2, n // 4))
        candidates = {self._present - 1, self._present + 1, *far, len(self._counts) - 1}
        return sorted(
            index for index in candidates - {self._present} if 0 <= index < len(self._counts)
        )

    def _conclude(self, survey: ThreadSurvey) -> bool:
        lost = 0.0
        for index in survey.candidates:
            self._costs[index] = survey.cost(index)
            lost += self._costs[index]
        self._saved -= lost
        self._survey, self._alarmed, self._rested = None, False, 0
        self._surveyed = True
        winner = survey.best()
        if winner is None:
            self._n_confirmed = self._n_confirmed + 1 if lost >= _CLEAR_COST else 0
            for reference in self._references.values():
                reference.accept()
            return False
        self._direction = 1 if winner > self._present else -1
        self._present, self._n_confirmed = winner, 0
        self._references.clear()
        self._rested = _REST  # what was faster may be so again one further
        return True
