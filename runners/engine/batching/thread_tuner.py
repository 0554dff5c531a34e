"""How many threads compute a step, chosen by measuring the steps themselves.

llama.cpp's threads spin while they wait for each other. As soon as another program needs one of the
cores, each of the many barriers in a step waits for a thread that is not running, and a count that
was the fastest becomes several times slower than half of it. No number known at start is right, so
the loop's own steps are the measurement: a few of them run with another count now and then, more
when steps suddenly take longer. Pure: the caller tells what each step took.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from statistics import median

_FEW_ROWS = 16
"""Steps of up to this many rows wait for memory, larger ones for arithmetic: two optima."""
_SAMPLES = 5
"""Steps measured per candidate; their median outlives two outliers."""
_MIN_REFERENCE = 3
_BETTER = 0.95
"""A candidate wins when its steps take at most this share of what they take now."""
_FAR_BETTER = 0.5
_CLEARLY_WORSE = 1.25
_FAR_WORSE = 3.0
_SLOWED = 1.3
"""Steps that take this many times what they took look as if the machine had changed."""
_FAR_SLOWED = 2.0
_DRIFT = 0.01
"""How fast the usual time follows a slow change, such as a context that fills."""
_BUDGET = 0.008
"""Share of all time that steps with a slower candidate may cost."""
_MAX_SAVED = 30.0
"""Most that is saved of that budget, in steps."""
_MOST_LOST = 8.0
"""Most that one step can be charged for, in steps; what is above is the machine's own hiccup."""
_REST = 32
"""Steps between two surveys that nothing called for."""


class ThreadTuner:
    """Picks the number of threads for each step of one context.

    Ask `choose` before a step and tell `record` what the step took. Small steps (generating) and
    large ones (reading prompts) are tuned apart; a change seen by one makes the other look too.
    """

    def __init__(self, max_threads: int, *, min_threads: int = 1) -> None:
        """Start at `max_threads`; with an equal `min_threads` nothing is tuned."""
        counts = _ladder(min_threads, max_threads)
        self._few = _Climb(counts)
        self._many = _Climb(counts)

    @property
    def n_threads(self) -> int:
        """The count that steps which generate run with, leaving measurements aside."""
        return self._few.settled_on

    def choose(self, n_rows: int) -> int:
        """The number of threads for the next step, which computes `n_rows` rows."""
        return self._climb(n_rows).choose(_size_class(n_rows))

    def record(self, n_rows: int, elapsed_ns: int) -> None:
        """Tell that the step that `choose` was last asked about took `elapsed_ns`."""
        climb, other = self._few, self._many
        if n_rows > _FEW_ROWS:
            climb, other = other, climb
        if climb.record(_size_class(n_rows), elapsed_ns / n_rows):
            other.look_around()

    def _climb(self, n_rows: int) -> "_Climb":
        return self._few if n_rows <= _FEW_ROWS else self._many


def _ladder(lowest: int, highest: int) -> tuple[int, ...]:
    """Counts worth telling apart: neighbours differ by one or by about a fifth."""
    counts = [highest]
    while counts[-1] > lowest:
        counts.append(max(lowest, counts[-1] - max(1, counts[-1] // 5)))
    return tuple(reversed(counts))


def _size_class(n_rows: int) -> int:
    """Steps of one class take about the same time per row; only those are compared."""
    return n_rows if n_rows <= _FEW_ROWS else _FEW_ROWS + n_rows.bit_length()


class _Reference:
    """What steps of one size class take with the present count."""

    __slots__ = ("recent", "usual")

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=_SAMPLES)
        self.usual = 0.0

    def add(self, time: float) -> None:
        self.recent.append(time)
        if len(self.recent) < _SAMPLES or not self.usual:
            self.accept()
        else:
            self.usual *= 1 + _DRIFT if time > self.usual else 1 - _DRIFT

    @property
    def known(self) -> bool:
        """Whether there are enough steps to compare a candidate's with."""
        return len(self.recent) >= _MIN_REFERENCE

    @property
    def slowed(self) -> bool:
        """Whether all the latest steps were slow; three that were very slow are enough."""
        latest = list(self.recent)
        if len(latest) < _SAMPLES:
            return False
        return min(latest) > _SLOWED * self.usual or min(latest[-3:]) > _FAR_SLOWED * self.usual

    def accept(self) -> None:
        """Take the present times for usual."""
        self.usual = median(self.recent)


class _Survey:
    """Measures candidates in turn with the present count, as ratios to it."""

    def __init__(self, candidates: Sequence[int]) -> None:
        self.ratios: dict[int, list[float]] = {index: [] for index in candidates}
        self._open = list(candidates)
        self._turn = 0

    @property
    def done(self) -> bool:
        return not self._open

    def next(self) -> int | None:
        """The candidate whose turn it is; None for the present count, which has a turn too."""
        self._turn = (self._turn + 1) % (len(self._open) + 1)
        return self._open[self._turn - 1] if self._turn else None

    def add(self, index: int, ratio: float) -> None:
        ratios = self.ratios[index]
        ratios.append(ratio)
        hopeless = ratio > _FAR_WORSE or (len(ratios) > 1 and min(ratios) > _CLEARLY_WORSE)
        if hopeless or len(ratios) == _SAMPLES:
            self._open.remove(index)
        if any(map(_is_far_better, self.ratios.values())) and all(
            len(self.ratios[other]) > 1 for other in self._open
        ):
            self._open.clear()

    def cost(self, index: int) -> float:
        """Time lost to this candidate, in steps."""
        return sum(min(max(0.0, ratio - 1.0), _MOST_LOST) for ratio in self.ratios[index])

    def best(self) -> int | None:
        """The candidate that is clearly faster than the present count, if there is one."""
        faster = {i: median(r) for i, r in self.ratios.items() if _is_faster(r)}
        return min(faster, key=faster.__getitem__, default=None)


def _is_far_better(ratios: list[float]) -> bool:
    """Whether two steps leave no doubt; more would only prolong what is slow now."""
    return len(ratios) > 1 and max(ratios) < _FAR_BETTER


def _is_faster(ratios: list[float]) -> bool:
    """Whether most steps were clearly faster, and all but one of them faster at all."""
    if _is_far_better(ratios):
        return True
    return len(ratios) == _SAMPLES and median(ratios) <= _BETTER and sorted(ratios)[-2] <= 1.0


class _Climb:
    """Climbs to the fastest count for one kind of step, and notices when it is no longer that."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        self._counts = counts
        self._present = len(counts) - 1
        self._running = self._present
        self._references: dict[int, _Reference] = {}
        self._survey: _Survey | None = None
        self._costs: dict[int, float] = {}
        self._saved = _MAX_SAVED
        self._rested = 0
        self._direction = -1
        self._alarmed = True

    @property
    def settled_on(self) -> int:
        return self._counts[self._present]

    def look_around(self) -> None:
        """Survey near and far counts soon: the machine seems to have changed."""
        self._alarmed = True

    def choose(self, size_class: int) -> int:
        self._running = self._present
        reference = self._references.get(size_class)
        if reference is not None and reference.known:
            self._survey = self._survey or self._begin()
            candidate = self._survey.next() if self._survey else None
            self._running = self._present if candidate is None else candidate
        return self._counts[self._running]

    def record(self, size_class: int, time: float) -> bool:
        """Take a step's time per row; return whether the present count was given up."""
        self._rested += 1
        self._saved = min(_MAX_SAVED, self._saved + _BUDGET)
        if self._running == self._present:
            self._watch(size_class, time)
            return False
        reference, survey = self._references.get(size_class), self._survey
        if reference is None or survey is None:
            return False
        survey.add(self._running, time / median(reference.recent))
        return survey.done and self._conclude(survey)

    def _watch(self, size_class: int, time: float) -> None:
        reference = self._references.get(size_class)
        if reference is None:
            reference = self._references[size_class] = _Reference()
        reference.add(time)
        if self._survey is None and reference.slowed:
            self._alarmed = True

    def _begin(self) -> _Survey | None:
        if self._alarmed and self._saved > 0:
            return self._start(self._around())
        if self._rested < _REST:
            return None
        neighbour = self._present + self._direction
        if not 0 <= neighbour < len(self._counts):
            self._direction = -self._direction
            return None
        if self._costs.get(neighbour, 1.0) > self._saved:
            return None
        self._direction = -self._direction
        return self._start([neighbour])

    def _start(self, candidates: Sequence[int]) -> _Survey | None:
        self._rested = 0
        return _Survey(candidates) if candidates else None

    def _conclude(self, survey: _Survey) -> bool:
        for index in survey.ratios:
            self._costs[index] = survey.cost(index)
            self._saved -= self._costs[index]
        self._survey = None
        self._alarmed = False
        self._rested = 0
        winner = survey.best()
        if winner is None:
            for reference in self._references.values():
                reference.accept()
            return False
        self._move(winner)
        return True

    def _move(self, winner: int) -> None:
        self._direction = 1 if winner > self._present else -1
        self._present = self._running = winner
        self._references.clear()
        self._rested = _REST  # what was faster may be so again one further

    def _around(self) -> list[int]:
        """Both neighbours, and about half and a quarter of the present count.

        With several cores taken every count above those left over is slow, so looking only at the
        neighbours would find no way down.
        """
        n = self.settled_on
        far = (bisect_right(self._counts, wanted) - 1 for wanted in (n // 2, n // 4))
        candidates = {self._present - 1, self._present + 1, *far} - {self._present}
        return sorted(index for index in candidates if 0 <= index < len(self._counts))
