"""Climb to the fastest number of threads for one kind of step, and notice when it is another.

Two ways lead to another count. A survey compares single steps of several counts in turn. When other
programs have taken cores, that tells nothing: the system needs a few tenths of a second to move
threads away from each other, so that steps of a lower count, between those of a higher one, are as
slow as these. Then a trial stays at what the others leave free, and is judged by its last steps.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from statistics import fmean, median

from runners.engine.batching.thread_survey import BETTER, ThreadSurvey

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
"""Cores that others must use to make fewer threads worth trying, and more not."""
_READINGS = 3
"""Readings of the free cores after steps slowed down that may explain it."""
_TRIAL_NS, _TRIAL_STEPS = 300_000_000, 12
"""Least time and steps of a trial."""


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


@dataclass(slots=True)
class _Trial:
    """A stay at a lower count, until it is clear that its steps are faster than those before."""

    origin: int
    """The index of the count before."""
    before: dict[int, float]
    """Mean times per row of the latest steps with it, by size class."""
    elapsed_ns: int = 0
    n_steps: int = 0


class ThreadClimb:
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
        self._free: float | None = None
        self._least_free: float | None = None
        self._trial: _Trial | None = None
        self._n_readings = 0
        """Readings of the free cores that may still explain why steps slowed down."""

    @property
    def n_threads(self) -> int:
        return self._counts[self._present]

    @property
    def is_reduced(self) -> bool:
        """Whether the present count is not the highest."""
        return self._present < len(self._counts) - 1

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

        More than before are a reason for a survey. Fewer than threads are one for a trial when
        steps have slowed down, and before the first survey: a machine that is busy from the start
        never shows steps that become slower.
        """
        self._free = free
        if free <= self.n_threads - _TAKEN:
            if not self._surveyed:
                self._alarmed = True
            if self._watches and (self._n_readings or not self._surveyed):
                self._try_lower(free)
        self._n_readings = max(self._n_readings - 1, 0)
        if self._least_free is None or free < self._least_free:
            self._least_free = free
        elif free >= self._least_free + _NEWLY_FREE and self.is_reduced and self._survey is None:
            self._least_free = self._trial = None
            self._alarmed = True
            self._saved = max(self._saved, 1.0)

    def choose(self, size_class: int, *, may_try: bool = True) -> int:
        self._current = None
        reference = self._references.get(size_class)
        if may_try and reference is not None and reference.known and self.is_due:
            assert self._survey is not None
            self._current = self._survey.next()
        return self._counts[self._present if self._current is None else self._current]

    def record(self, size_class: int, time: float, elapsed_ns: int) -> bool:
        """Record a step's time per row and its whole; return whether the present count changed."""
        self._rested += 1
        self._saved = min(_MAX_SAVED, self._saved + _BUDGET)
        reference = self._references.get(size_class)
        if self._current is None:
            if reference is None:
                reference = self._references[size_class] = _Reference(self._drift)
            reference.add(time)
            if self._trial is not None:
                return self._go_on(self._trial, size_class, reference, elapsed_ns)
            if reference.slowed:
                self._n_readings = _READINGS
                if not self._alarmed:
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

    # Trials.

    def _try_lower(self, free: float) -> None:
        """Begin a trial of the count that others leave cores for, if it is a lower one."""
        target = max(bisect_right(self._counts, free + 1 - _TAKEN) - 1, 0)
        before = {
            size: fmean(list(reference.recent)[-_MIN_REFERENCE:])
            for size, reference in self._references.items()
            if reference.known
        }
        if target >= self._present or not before or self._saved <= 0:
            return
        self._trial = _Trial(self._present, before)
        self._survey, self._alarmed, self._surveyed, self._n_readings = None, False, True, 0
        self._move(target)

    def _go_on(
        self, trial: _Trial, size_class: int, reference: _Reference, elapsed_ns: int
    ) -> bool:
        """Count a step of a trial; at its end return whether the lower count was better."""
        trial.elapsed_ns += elapsed_ns
        trial.n_steps += 1
        is_long = trial.elapsed_ns >= _TRIAL_NS and trial.n_steps >= _TRIAL_STEPS
        if not is_long or not reference.known:
            return False
        self._trial = None
        before = trial.before.get(size_class)
        # Without steps of this size before, what the others leave free decides.
        ratio = fmean(reference.recent) / before if before is not None else 0.0
        if ratio <= BETTER:
            self._direction, self._n_confirmed, self._rested = -1, 0, 0
            return True
        self._saved -= max(0.0, trial.n_steps * (ratio - 1))
        self._move(trial.origin)
        self._rested = 0
        return False

    def _move(self, index: int) -> None:
        self._present = index
        self._references.clear()

    # Surveys.

    def _can_begin(self) -> bool:
        if self._trial is not None:
            return False
        if self._alarmed:
            return self._saved > 0
        if self.is_reduced:
            return self._rested >= _REST
        return self._watches and self._rested >= _REST << min(self._n_confirmed, _MAX_DOUBLINGS)

    def _begin(self) -> ThreadSurvey | None:
        candidates = self._around() if self._alarmed else self._neighbour()
        self._rested = 0
        self._units.clear()
        if not candidates:
            self._alarmed = False
        return ThreadSurvey(candidates) if candidates else None

    def _may_try(self, index: int) -> bool:
        """Whether there is such a count, and the others leave cores for it if it is a higher one.

        As far as that is known.
        """
        if not 0 <= index < len(self._counts):
            return False
        is_lower = index < self._present
        return is_lower or self._free is None or self._counts[index] <= self._free + _TAKEN

    def _neighbour(self) -> list[int]:
        """Return a neighbour of the present count, up and down in turn, if it can be afforded."""
        if not 0 <= self._present + self._direction < len(self._counts):
            self._direction = -self._direction
        neighbour = self._present + self._direction
        if not self._may_try(neighbour) or self._costs.get(neighbour, 1.0) > self._saved:
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
        return sorted(filter(self._may_try, candidates - {self._present}))

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
        self._n_confirmed = 0
        self._move(winner)
        self._rested = _REST  # what was faster may be so again one further
        return True
