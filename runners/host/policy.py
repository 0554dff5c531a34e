"""Scheduling policy: reuse a runner, load the model, evict another, wait or reject; pure functions.

The scheduler describes runners and machines in `State`, calls `decide` and carries out the
decision. Any number of machines is supported.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from runners.host.decisions import Decision, Evict, Load, Refuse, Reject, Reuse, Wait
from runners.host.model_request import LoadOptions, ModelKey

MOST_MORE_USERS = 4
"""How many more users than the least busy replica one may have that knows a prompt's beginning."""


class Phase(Enum):
    """State of a runner."""

    LOADING = auto()
    READY = auto()
    DRAINING = auto()
    """To be unloaded: it finishes the requests it has and takes no new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerDemand:
    """What a request requires of a runner.

    `n_ctx` is the context size, from the request or automatic, which is then at least `least_ctx`
    where memory allows. `full_machines` names the machines
    where a load found too little memory beside the runners that are there. `admitted` is set once
    the request has its place in the queue. One that `is_background` waits while others run or wait,
    and nothing is evicted for it. `size` is the estimated memory of the loaded model in bytes, 0 if
    unknown. `prefix` are hashes of the blocks that the prompt begins with, each of all before it.
    """

    key: ModelKey
    options: LoadOptions
    n_ctx: int
    full_machines: frozenset[str] = frozenset()
    admitted: bool = False
    least_ctx: int = 0
    is_background: bool = False
    size: int = 0
    prefix: tuple[int, ...] = ()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerView:
    """The properties of a runner that decisions depend on.

    `options` are those of the request that caused the load, `n_ctx` and `use_mmap` the values in
    use. `keep_alive` is a duration in seconds, `expires_at` and `last_used` are seconds of the
    scheduler's clock. A pinned runner is not evicted. `users` are requests that it may not fail,
    `background_users` others. `n_waiting` of the users wait for a slot, and some have done so since
    `waiting_since`. `prefixes` are the hashes of blocks that it has computed; see
    `RunnerDemand.prefix`. `attempted_ctx` is the context that the load tried first. It takes `vram`
    bytes on GPUs.
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
    size: int = 0
    vram: int = 0
    n_waiting: int = 0
    waiting_since: float = math.inf
    prefixes: frozenset[int] = frozenset()
    attempted_ctx: int = 0
    is_pinned: bool = False
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """A machine that runners can be started on; sizes in bytes.

    `memory` is what all its runners may take, `free` what is left of it, and `gpu_free` the most
    that is left on one of its GPUs. Without them, a load finds out. `files` are the models whose
    files lie on it.
    """

    name: str
    max_loaded: int
    has_gpu: bool = False
    memory: int | None = None
    free: int | None = None
    gpu_free: int = 0
    files: AbstractSet[ModelKey] = frozenset()


class Runners(Protocol):
    """Runners that are found without looking at all of them; see `RunnerIndex`."""

    def __iter__(self) -> Iterator[RunnerView]: ...

    def of_model(self, key: ModelKey) -> Iterable[RunnerView]: ...

    def on_machine(self, name: str) -> Iterable[RunnerView]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a decision depends on, besides the request and the time.

    `pending` holds the requests in the queue, oldest first.
    """

    machines: Sequence[MachineView]
    runners: tuple[RunnerView, ...] | Runners = ()
    pending: tuple[RunnerDemand, ...] = ()
    max_queue: int = 512


def decide(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Return what to do for `demand`, which is new or one of `state.pending`."""
    ready = [
        runner
        for runner in _of_model(state, demand.key)
        if runner.phase is Phase.READY and serves(state, runner, demand)
    ]
    if ready:
        return Reuse(choose_replica(ready, demand).id)
    if demand.is_background:
        return _in_the_background(state, demand, now)
    decision = _make_room(state, demand, now)
    if isinstance(decision, Load | Refuse) or demand.admitted:
        return decision
    return Reject() if _queue_length(state) >= state.max_queue else decision


def _in_the_background(state: State, demand: RunnerDemand, now: float) -> Decision:
    """Load the model while nobody else needs the machine, and where it needs no eviction."""
    is_busy = any(runner.users for runner in state.runners)
    if is_busy or any(not other.is_background for other in state.pending):
        return Wait()
    decision = _make_room(state, demand, now)
    return decision if isinstance(decision, Load) else Wait()


def choose_replica(replicas: Sequence[RunnerView], demand: RunnerDemand) -> RunnerView:
    """Return the replica that has computed most of the prompt, of those that are not too busy.

    Of equal ones it is the least busy.
    """
    if len(replicas) == 1:
        return replicas[0]
    fewest = min(replica.users for replica in replicas)
    free = [replica for replica in replicas if replica.users <= fewest + MOST_MORE_USERS]
    return max(free, key=lambda each: (_n_shared(demand.prefix, each.prefixes), -each.users))


def _n_shared(prefix: Sequence[int], computed: AbstractSet[int]) -> int:
    """Return with how many blocks that are computed a prompt begins."""
    return next((n for n, block in enumerate(prefix) if block not in computed), len(prefix))


def serves(state: State, runner: RunnerView, demand: RunnerDemand) -> bool:
    """Whether `demand` can be served by `runner` as it is, or as it will be once loaded."""
    if runner.key != demand.key:
        return False
    if not _context_suffices(runner, demand):
        return False
    if demand.options == runner.options:
        return True
    has_gpu = any(machine.has_gpu for machine in state.machines if machine.name == runner.machine)
    return _options_agree(runner, demand.options, has_gpu=has_gpu)


def _context_suffices(runner: RunnerView, demand: RunnerDemand) -> bool:
    if demand.options.num_ctx is None and runner.context_automatic:
        # It may have been lowered to fit the memory; loading again would lower it again.
        return demand.least_ctx <= max(runner.n_ctx, runner.attempted_ctx)
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
    old = [r for r in _of_model(state, demand.key) if _has_machine(state, r.machine)]
    if old:
        return _replace(state, old, demand)
    queue = _Queue.before(state, demand)
    if demand.key in queue.ahead:
        return Wait()
    # A model that is too large for every machine is loaded to learn why it cannot be.
    machines = _able(state, demand) or state.machines
    return _place(state, machines, demand, now, queue)


def room_for(
    state: State, demand: RunnerDemand, now: float, *, without: AbstractSet[str]
) -> Decision:
    """Return where a model can be loaded once more, on other machines than `without`."""
    able = [each for each in _able(state, demand) if each.name not in without]
    return _place(state, able, demand, now, _Queue.before(state, demand))


def _place(
    state: State, machines: Sequence[MachineView], demand: RunnerDemand, now: float, queue: "_Queue"
) -> Load | Evict | Wait | Refuse:
    victims: list[RunnerView] = []
    n_refusals = 0
    for machine in sorted(machines, key=lambda each: _preference(each, demand)):
        match _for_machine(state, machine, demand, now, queue):
            case Load() as load:
                return load
            case RunnerView() as victim:
                victims.append(victim)
            case Refuse():
                n_refusals += 1
    if machines and n_refusals == len(machines):
        return Refuse()
    chosen = choose_victim(victims, _in_demand(state, victims, queue), now)
    return Evict(chosen.id) if chosen else Wait()


def _able(state: State, demand: RunnerDemand) -> list[MachineView]:
    """Return the machines that can hold the model at all, as far as is known."""
    return [each for each in state.machines if each.memory is None or demand.size <= each.memory]


def _preference(machine: MachineView, demand: RunnerDemand) -> tuple[bool, bool, int]:
    """Order machines: where the files lie, where a GPU takes all of it, with most free memory."""
    fits_gpu = 0 < demand.size <= machine.gpu_free
    return demand.key not in machine.files, not fits_gpu, -(machine.free or 0)


def _has_machine(state: State, name: str) -> bool:
    """Whether a machine can be used: it was not lost, and is not drained."""
    return any(machine.name == name for machine in state.machines)


def _replace(state: State, old: Sequence[RunnerView], demand: RunnerDemand) -> Decision:
    """Reload a model whose runner cannot serve `demand`, in place of that."""
    unsuitable = [r for r in old if r.phase is Phase.READY and not serves(state, r, demand)]
    return Evict(unsuitable[0].id) if unsuitable else Wait()


def _for_machine(
    state: State, machine: MachineView, demand: RunnerDemand, now: float, queue: "_Queue"
) -> Load | RunnerView | Refuse | None:
    """Return a load if the machine has room, the runner to evict if it has none, else None.

    Refuse, where the pinned runners leave no room.
    """
    here = list(_on_machine(state, machine.name))
    if any(runner.phase is Phase.LOADING for runner in here):
        return None
    if excluded := [runner for runner in here if runner.groups & demand.groups]:
        return _end_exclusion(excluded)
    is_full = machine.name in demand.full_machines or (
        machine.free is not None and demand.size > machine.free
    )
    if not (is_full and here) and len(here) < machine.max_loaded:
        return Load(machine.name)
    return _victim(state, here, now, queue)


def _victim(
    state: State, here: Sequence[RunnerView], now: float, queue: "_Queue"
) -> RunnerView | Refuse | None:
    """Return the runner whose end makes room on a machine with the runners `here`, if any."""
    draining = [runner for runner in here if runner.phase is Phase.DRAINING]
    if sum(runner.users == 0 for runner in draining) > len(queue.ahead):
        return None
    staying = [r for r in here if r.phase is Phase.READY and not r.is_pinned]
    if not staying and not draining:
        return Refuse()
    victim = choose_victim(staying, _in_demand(state, staying, queue), now)
    # At most one busy runner drains at a time for each request.
    if victim is None or (victim.users > 0 and len(draining) > len(queue.ahead)):
        return None
    return victim


def _end_exclusion(excluded: Sequence[RunnerView]) -> RunnerView | Refuse | None:
    """Return the next runner to evict of those that must not be in memory with the new one."""
    ready = [runner for runner in excluded if runner.phase is Phase.READY]
    if any(runner.is_pinned for runner in ready):
        return Refuse()
    return ready[0] if ready else None


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


@dataclass(frozen=True, slots=True)
class _Queue:
    """The pending requests as one of them sees them.

    `ahead` are the models of those before it, `waiting` the requests by their models, without
    background requests.
    """

    ahead: frozenset[ModelKey]
    waiting: dict[ModelKey, list[RunnerDemand]]

    @classmethod
    def before(cls, state: State, demand: RunnerDemand) -> "_Queue":
        waiting: dict[ModelKey, list[RunnerDemand]] = {}
        for other in state.pending:
            if not other.is_background:
                waiting.setdefault(other.key, []).append(other)
        return cls(frozenset(other.key for other in _ahead(state, demand)), waiting)


def _in_demand(state: State, runners: Sequence[RunnerView], queue: _Queue) -> frozenset[int]:
    return frozenset(
        runner.id
        for runner in runners
        if any(serves(state, runner, demand) for demand in queue.waiting.get(runner.key, ()))
    )


def _of_model(state: State, key: ModelKey) -> Iterable[RunnerView]:
    if isinstance(state.runners, tuple):
        return [runner for runner in state.runners if runner.key == key]
    return state.runners.of_model(key)


def _on_machine(state: State, name: str) -> Iterable[RunnerView]:
    if isinstance(state.runners, tuple):
        return [runner for runner in state.runners if runner.machine == name]
    return state.runners.on_machine(name)


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
