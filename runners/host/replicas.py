"""Replicas of a model on several machines: more while requests wait, fewer when they are idle.

Pure functions, as in `policy`. A replica only ever takes free room: nothing is evicted for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from runners.host.decisions import Load
from runners.host.model_request import ModelKey
from runners.host.policy import Phase, RunnerDemand, RunnerView, State, room_for

ADD_AFTER = 10.0
"""Seconds for which requests have to wait at every replica before there is another one."""
REMOVE_AFTER = 60.0
"""Seconds without a request after which one of several replicas is unloaded."""


@dataclass(frozen=True, slots=True)
class AddReplica:
    """Load a model once more, as it was loaded for the demand, on this machine."""

    demand: RunnerDemand
    machine: str


@dataclass(frozen=True, slots=True)
class RemoveReplica:
    """Unload this runner; others of the model stay."""

    runner: int


Change: TypeAlias = AddReplica | RemoveReplica


def scale(state: State, now: float, *, max_replicas: int) -> list[Change]:
    """Return what to change, at most one replica for each model."""
    by_key: dict[ModelKey, list[RunnerView]] = {}
    usable = {machine.name for machine in state.machines}
    for runner in state.runners:
        if runner.machine in usable:
            by_key.setdefault(runner.key, []).append(runner)
    changes = (_change(state, replicas, now, max_replicas) for replicas in by_key.values())
    return [change for change in changes if change is not None]


def _change(
    state: State, replicas: Sequence[RunnerView], now: float, max_replicas: int
) -> Change | None:
    if any(replica.phase is not Phase.READY for replica in replicas):
        return None  # the last change is not over
    if len(replicas) < max_replicas and all(_is_short(each, now) for each in replicas):
        return _addition(state, replicas, now)
    if len(replicas) > 1 and not any(replica.n_waiting for replica in replicas):
        return _removal(replicas, now)
    return None


def _is_short(replica: RunnerView, now: float) -> bool:
    return replica.n_waiting > 0 and now - replica.waiting_since >= ADD_AFTER


def _addition(state: State, replicas: Sequence[RunnerView], now: float) -> AddReplica | None:
    model = replicas[0]
    demand = RunnerDemand(
        key=model.key, options=model.options, n_ctx=model.n_ctx, size=model.size, admitted=True
    )
    used = {replica.machine for replica in replicas}
    match room_for(state, demand, now, without=used):
        case Load(machine):
            return AddReplica(demand, machine)
    return None


def _removal(replicas: Iterable[RunnerView], now: float) -> RemoveReplica | None:
    idle = [each for each in replicas if not each.users and now - each.last_used >= REMOVE_AFTER]
    oldest = min(idle, key=lambda each: each.last_used, default=None)
    return RemoveReplica(oldest.id) if oldest else None
