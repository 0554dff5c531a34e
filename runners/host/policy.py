"""What to do with a request for a model: reuse a runner, load, evict, wait or refuse; pure.

The scheduler describes what it has in `State`, asks `decide`, and does what it is told. Places
are the machines that runners live on; there may be any number of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from runners.host.model_request import LoadOptions, ModelKey


class Phase(Enum):
    """Where a runner is in its life."""

    LOADING = auto()
    READY = auto()
    DRAINING = auto()
    """It is to go: it finishes what it has and takes nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerDemand:
    """What a request needs of a runner.

    `n_ctx` is the context it would be given, asked for or automatic. `crowded` lists the machines
    where an attempt to load found too little memory beside the runners that are there.
    """

    key: ModelKey
    options: LoadOptions
    n_ctx: int
    crowded: frozenset[str] = frozenset()
    admitted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerView:
    """What the decision needs to know of a runner.

    `asked` are the options of the request that caused the load, `n_ctx` and `use_mmap` what came
    of them. `expires_at` and `last_used` are seconds of the scheduler's clock.
    """

    id: int
    machine: str
    key: ModelKey
    phase: Phase
    asked: LoadOptions
    n_ctx: int
    context_automatic: bool
    use_mmap: bool
    users: int
    keep_alive: float
    expires_at: float
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """A machine that runners can be started on."""

    name: str
    max_loaded: int
    has_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a decision depends on, besides the request and the time.

    `waiting` holds the requests that were admitted and not served yet, oldest first.
    """

    machines: tuple[MachineView, ...]
    runners: tuple[RunnerView, ...] = ()
    waiting: tuple[RunnerDemand, ...] = ()
    max_queue: int = 512


@dataclass(frozen=True, slots=True)
class Reuse:
    """Serve the request by this runner."""

    runner: int


@dataclass(frozen=True, slots=True)
class Load:
    """Load the model on this machine."""

    machine: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Let this runner go as soon as it is idle; ask again then."""

    runner: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do but ask again after a change."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Too many requests wait already."""


Decision: TypeAlias = Reuse | Load | Evict | Wait | Reject


def decide(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Return what to do for `demand`, whether it is new or one of `state.waiting`."""
    for runner in state.runners:
        if runner.phase is Phase.READY and serves(state, runner, demand):
            return Reuse(runner.id)
    decision = _make_room(state, demand, now)
    if isinstance(decision, Load) or demand.admitted:
        return decision
    return Reject() if _queue_length(state) >= state.max_queue else decision


def serves(state: State, runner: RunnerView, demand: RunnerDemand) -> bool:
    """Whether `demand` can be served by `runner` as it is, or as it will be once loaded."""
    if runner.key != demand.key:
        return False
    has_gpu = any(machine.has_gpu for machine in state.machines if machine.name == runner.machine)
    return _context_suffices(runner, demand) and _options_agree(
        runner, demand.options, has_gpu=has_gpu
    )


def _context_suffices(runner: RunnerView, demand: RunnerDemand) -> bool:
    if demand.options.num_ctx is None and runner.context_automatic:
        # It may have been lowered to fit the memory; loading again would end the same.
        return True
    return runner.n_ctx >= demand.n_ctx


def _options_agree(runner: RunnerView, options: LoadOptions, *, has_gpu: bool) -> bool:
    asked = runner.asked
    same = [
        options.num_batch is None or options.num_batch == asked.num_batch,
        options.use_mmap is None or options.use_mmap == runner.use_mmap,
        not options.num_thread or options.num_thread == asked.num_thread,
    ]
    if has_gpu:
        automatic = options.num_gpu is None or options.num_gpu < 0
        same.append(automatic or options.num_gpu == asked.num_gpu)
        same.append(options.main_gpu is None or options.main_gpu == asked.main_gpu)
    return all(same)


def _make_room(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Choose the machine where the model can be soonest: now, after an eviction, or later."""
    old = [runner for runner in state.runners if runner.key == demand.key]
    if old:
        return _replace(state, old, demand)
    if any(other.key == demand.key for other in _ahead(state, demand)):
        return Wait()
    decisions = [_for_machine(state, machine, demand, now) for machine in state.machines]
    for kind in (Load, Evict):
        if found := next((each for each in decisions if isinstance(each, kind)), None):
            return found
    return Wait()


def _replace(state: State, old: Sequence[RunnerView], demand: RunnerDemand) -> Decision:
    """The model is in memory, but not fit for this request or not ready: never load it twice."""
    unfit = [r for r in old if r.phase is Phase.READY and not serves(state, r, demand)]
    return Evict(unfit[0].id) if unfit else Wait()


def _for_machine(state: State, machine: MachineView, demand: RunnerDemand, now: float) -> Decision:
    here = [runner for runner in state.runners if runner.machine == machine.name]
    if any(runner.phase is Phase.LOADING for runner in here):
        return Wait()
    ahead = {other.key for other in _ahead(state, demand)}
    crowded = machine.name in demand.crowded and bool(here)
    if not crowded and len(here) < machine.max_loaded:
        return Load(machine.name)
    leaving = [runner for runner in here if runner.phase is Phase.DRAINING]
    if sum(runner.users == 0 for runner in leaving) > len(ahead):
        return Wait()
    staying = [runner for runner in here if runner.phase is Phase.READY]
    victim = choose_victim(staying, _needed(state, staying), now)
    # A second busy runner is not given up while the first one is still finishing.
    if victim is None or (victim.users > 0 and len(leaving) > len(ahead)):
        return Wait()
    return Evict(victim.id)


def choose_victim(
    runners: Iterable[RunnerView], needed: frozenset[int], now: float
) -> RunnerView | None:
    """Return the runner that is missed least: one nobody waits for, idle, and soonest to expire.

    Among equals, which are common when all live for ever, the least recently used one goes.
    """

    def reluctance(runner: RunnerView) -> tuple[bool, bool, float, float]:
        remaining = runner.keep_alive if runner.users else runner.expires_at - now
        return runner.id in needed, runner.users > 0, remaining, runner.last_used

    return min(runners, key=reluctance, default=None)


def _needed(state: State, runners: Sequence[RunnerView]) -> frozenset[int]:
    return frozenset(
        runner.id
        for runner in runners
        if any(serves(state, runner, demand) for demand in state.waiting)
    )


def _ahead(state: State, demand: RunnerDemand) -> tuple[RunnerDemand, ...]:
    """Return the waiting requests that came before `demand`; all of them when it is new."""
    for position, other in enumerate(state.waiting):
        if other is demand:
            return state.waiting[:position]
    return state.waiting


def _queue_length(state: State) -> int:
    """Return how many requests wait, not counting those that loads were started for."""
    loading = {runner.key for runner in state.runners if runner.phase is Phase.LOADING}
    return len(state.waiting) - len(loading)
