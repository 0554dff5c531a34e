"""What to do with a request for a model: reuse a runner, load, evict, wait or refuse; pure.

The scheduler describes what it has in `State`, asks `decide`, and does what it is told. Places
are the hosts that runners live on; there may be any number of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from runners.host.requests import LoadOptions, ModelKey


class Phase(Enum):
    """Where a runner is in its life."""

    LOADING = auto()
    READY = auto()
    DRAINING = auto()
    """It is to go: it finishes what it has and takes nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request needs of a runner.

    `n_ctx` is the context it would be given, asked for or automatic. `crowded` lists the places
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
    place: str
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
class Place:
    """A host that runners can be started on."""

    name: str
    max_loaded: int
    has_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a decision depends on, besides the request and the time.

    `waiting` holds the requests that were admitted and not served yet, oldest first.
    """

    places: tuple[Place, ...]
    runners: tuple[RunnerView, ...] = ()
    waiting: tuple[Wanted, ...] = ()
    max_queue: int = 512


@dataclass(frozen=True, slots=True)
class Reuse:
    """Serve the request by this runner."""

    runner: int


@dataclass(frozen=True, slots=True)
class Load:
    """Load the model on this place."""

    place: str


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


def decide(state: State, wanted: Wanted, now: float) -> Decision:
    """Return what to do for `wanted`, whether it is new or one of `state.waiting`."""
    for runner in state.runners:
        if runner.phase is Phase.READY and serves(state, runner, wanted):
            return Reuse(runner.id)
    decision = _make_room(state, wanted, now)
    if isinstance(decision, Load) or wanted.admitted:
        return decision
    return Reject() if _queue_length(state) >= state.max_queue else decision


def serves(state: State, runner: RunnerView, wanted: Wanted) -> bool:
    """Whether `wanted` can be served by `runner` as it is, or as it will be once loaded."""
    if runner.key != wanted.key:
        return False
    has_gpu = any(place.has_gpu for place in state.places if place.name == runner.place)
    return _context_suffices(runner, wanted) and _options_agree(
        runner, wanted.options, has_gpu=has_gpu
    )


def _context_suffices(runner: RunnerView, wanted: Wanted) -> bool:
    if wanted.options.num_ctx is None and runner.context_automatic:
        # It may have been lowered to fit the memory; loading again would end the same.
        return True
    return runner.n_ctx >= wanted.n_ctx


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


def _make_room(state: State, wanted: Wanted, now: float) -> Decision:
    """Choose the place where the model can be soonest: now, after an eviction, or later."""
    old = [runner for runner in state.runners if runner.key == wanted.key]
    if old:
        return _replace(state, old, wanted)
    if any(other.key == wanted.key for other in _ahead(state, wanted)):
        return Wait()
    decisions = [_for_place(state, place, wanted, now) for place in state.places]
    for kind in (Load, Evict):
        if found := next((each for each in decisions if isinstance(each, kind)), None):
            return found
    return Wait()


def _replace(state: State, old: Sequence[RunnerView], wanted: Wanted) -> Decision:
    """The model is in memory, but not fit for this request or not ready: never load it twice."""
    unfit = [r for r in old if r.phase is Phase.READY and not serves(state, r, wanted)]
    return Evict(unfit[0].id) if unfit else Wait()


def _for_place(state: State, place: Place, wanted: Wanted, now: float) -> Decision:
    here = [runner for runner in state.runners if runner.place == place.name]
    if any(runner.phase is Phase.LOADING for runner in here):
        return Wait()
    ahead = {other.key for other in _ahead(state, wanted)}
    crowded = place.name in wanted.crowded and bool(here)
    if not crowded and len(here) < place.max_loaded:
        return Load(place.name)
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
        if any(serves(state, runner, wanted) for wanted in state.waiting)
    )


def _ahead(state: State, wanted: Wanted) -> tuple[Wanted, ...]:
    """Return the waiting requests that came before `wanted`; all of them when it is new."""
    for position, other in enumerate(state.waiting):
        if other is wanted:
            return state.waiting[:position]
    return state.waiting


def _queue_length(state: State) -> int:
    """Return how many requests wait, not counting those that loads were started for."""
    loading = {runner.key for runner in state.runners if runner.phase is Phase.LOADING}
    return len(state.waiting) - len(loading)
