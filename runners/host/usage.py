"""Usage of a machine by its runners: what metrics show of the scheduler and of each model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runners.protocol.stats import StatsReport


@dataclass(slots=True)
class SchedulerCounters:
    """Events since the start; `crashes` are runners that exited by themselves."""

    loads: int = 0
    failed_loads: int = 0
    evictions: int = 0
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class RunnerUsage:
    """A loaded model and its memory; `stats` is None when the runner did not answer in time.

    `owners` are those for whom it generates, by the ids in `stats`.
    """

    model: str
    n_cells: int
    ram_bytes: int
    vram_bytes: int
    stats: StatsReport | None
    owners: Mapping[int, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineUsage:
    """One reading; `n_pending` requests wait for a model to be loaded."""

    n_pending: int = 0
    counters: SchedulerCounters = field(default_factory=SchedulerCounters)
    runners: tuple[RunnerUsage, ...] = ()
