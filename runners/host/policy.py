"""Scheduling policy: reuse a runner, load the model, evict another, wait or reject; pure functions.

The scheduler describes runners and machines in `State`, calls `decide` and carries out the
decision. Any number of machines is supported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from runners.host.model_request import LoadOptions, ModelKey


class Phase(Enum):
    """State of a runner."""

    LOADING = auto()
    READY = auto()
    DRAINING = auto()
    """To be unloaded: it finishes the requests it has and takes no new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerDemand:
    """What a request requires of a runner.

    `n_ctx` is the context size, from the request or automatic. `full_machines` names the machines
    where a load found too little memory beside the runners that are there. `admitted` is set once
    the request has its place in the queue. One that `is_background` waits while others run or wait,
    and nothing is evicted for it.
    """

    key: ModelKey
    options: LoadOptions
    n_ctx: int
    full_machines: frozenset[str] = frozenset()
    admitted: bool = False
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerView:
    """The properties of a runner that decisions depend on.

    `options` are those of the request that caused the load, `n_ctx` and `use_mmap` the values in
    use. `keep_alive` is a duration in seconds, `expires_at` and `last_used` are seconds of the
    scheduler's clock. `users` are requests that it may not fail, `background_users` others.
    """

    id: int
    machine: str
    key: ModelKey
    phase: Phase
    options: LoadOptions
    n_ctx: int
    context_automatic: bool
    use_mmap: bool
    users: int
    keep_alive: float
    expires_at: float
    last_used: float
    background_users: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """A machine that runners can be started on."""

    name: str
    max_loaded: int
    has_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a decision depends on, besides the request and the time.

    `pending` holds the requests in the queue, oldest first.
    """

    machines: tuple[MachineView, ...]
    runners: tuple[RunnerView, ...] = ()
    pending: tuple[RunnerDemand, ...] = ()
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
    """Unload this runner as soon as it is idle, then decide again."""

    runner: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Keep the request in the queue and decide again after a change."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The queue is full."""


Decision: TypeAlias = Reuse | Load | Evict | Wait | Reject


def decide(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Return what to do for `demand`, which is new or one of `state.pending`."""
    for runner in state.runners:
        if runner.phase is Phase.READY and serves(state, runner, demand):
            return Reuse(runner.id)
    if demand.is_background:
        return _in_the_background(state, demand, now)
    decision = _make_room(state, demand, now)
    if isinstance(decision, Load) or demand.admitted:
        return decision
    return Reject() if _queue_length(state) >= state.max_queue else decision


def _in_the_background(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Load the model while nobody else needs the machine, and where it needs no eviction."""
    is_busy = any(runner.users for runner in state.runners)
    if is_busy or any(not other.is_background for other in state.pending):
        return Wait()
    decision = _make_room(state, demand, now)
    return decision if isinstance(decision, Load) else Wait()


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
        # It may have been lowered to fit the memory; loading again would lower it again.
        return True
    return runner.n_ctx >= demand.n_ctx


def _options_agree(runner: RunnerView, options: LoadOptions, *, has_gpu: bool) -> bool:
    loaded = runner.options
    same = [
        options.num_batch is None or options.num_batch == loaded.num_batch,
        options.use_mmap is None or options.use_mmap == runner.use_mmap,
        not options.num_thread or options.num_thread == loaded.num_thread,
    ]
    if has_gpu:
        automatic = options.num_gpu is None or options.num_gpu < 0
        same.append(automatic or options.num_gpu == loaded.num_gpu)
        same.append(options.main_gpu is None or options.main_gpu == loaded.main_gpu)
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
        if decision := next((each for each in decisions if isinstance(each, kind)), None):
            return decision
    return Wait()


def _replace(state: State, old: Sequence[RunnerView], demand: RunnerDemand) -> Decision:
    """Reload a model whose runner cannot serve `demand`; a model is never loaded twice."""
    unsuitable = [r for r in old if r.phase is Phase.READY and not serves(state, r, demand)]
    return Evict(unsuitable[0].id) if unsuitable else Wait()


def _for_machine(state: State, machine: MachineView, demand: RunnerDemand, now: float) -> Decision:
    here = [runner for runner in state.runners if runner.machine == machine.name]
    if any(runner.phase is Phase.LOADING for runner in here):
        return Wait()
    ahead = {other.key for other in _ahead(state, demand)}
    is_full = machine.name in demand.full_machines and bool(here)
    if not is_full and len(here) < machine.max_loaded:
        return Load(machine.name)
    draining = [runner for runner in here if runner.phase is Phase.DRAINING]
    if sum(runner.users == 0 for runner in draining) > len(ahead):
        return Wait()
    staying = [runner for runner in here if runner.phase is Phase.READY]
    victim = choose_victim(staying, _in_demand(state, staying), now)
    # At most one busy runner drains at a time for each request.
    if victim is None or (victim.users > 0 and len(draining) > len(ahead)):
        return Wait()
    return Evict(victim.id)


def choose_victim(
    runners: Iterable[RunnerView], in_demand: frozenset[int], now: float
) -> RunnerView | None:
    """Return the runner to evict: without pending requests, idle, and the soonest to expire.

    Of idle ones, those with background requests come first. Ties, which are common when no model
    expires, are broken by least recent use.
    """

    def reluctance(runner: RunnerView) -> tuple[bool, bool, bool, float, float]:
        remaining = runner.keep_alive if runner.users else runner.expires_at - now
        has_background = not runner.users and runner.background_users > 0
        is_busy = runner.users > 0
        return runner.id in in_demand, is_busy, not has_background, remaining, runner.last_used

    return min(runners, key=reluctance, default=None)


def _in_demand(state: State, runners: Sequence[RunnerView]) -> frozenset[int]:
    return frozenset(
        runner.id
        for runner in runners
        if any(
            serves(state, runner, demand) for demand in state.pending if not demand.is_background
        )
    )


def _ahead(state: State, demand: RunnerDemand) -> tuple[RunnerDemand, ...]:
    """Return the pending requests before `demand`; all of them when it is new.

    Background requests are before background requests alone.
    """
    ahead = []
    for other in state.pending:
        if other is demand:
            break
        if demand.is_background or not other.is_background:
            ahead.append(other)
    return tuple(ahead)


def _queue_length(state: State) -> int:
    """Return the number of pending requests without those whose load has begun."""
    loading = {runner.key for runner in state.runners if runner.phase is Phase.LOADING}
    return sum(not demand.is_background for demand in state.pending) - len(loading)
