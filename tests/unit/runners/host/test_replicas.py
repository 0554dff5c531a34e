"""Replicas: one more while requests wait everywhere, one fewer when nobody needs it."""

import math
from dataclasses import replace

import pytest

from runners.host.policy import MachineView, Phase, RunnerView, State
from runners.host.replicas import ADD_AFTER, REMOVE_AFTER, AddReplica, RemoveReplica, scale
from tests.unit.runners.host.test_policy import GIB, NOW, machine, runner

LONG, SHORT = NOW - ADD_AFTER, NOW - ADD_AFTER + 1


def replica(
    id: int, *, waiting: int = 0, since: float = math.inf, users: int = 9, last_used: float = NOW
) -> RunnerView:
    view = runner(id, "m", users=users, machine=f"m{id}", last_used=last_used)
    return replace(view, size=10 * GIB, n_waiting=waiting, waiting_since=since)


def _scale(
    *runners: RunnerView, machines: tuple[MachineView, ...] = (), max_replicas: int = 3
) -> list[object]:
    names = {each.name for each in machines}
    own = tuple(machine(each.machine) for each in runners if each.machine not in names)
    state = State(machines=(*own, *machines), runners=runners)
    return list(scale(state, NOW, max_replicas=max_replicas))


def test_there_is_one_more_when_requests_have_waited_at_all_of_them() -> None:
    free = machine("free")
    [change] = _scale(replica(1, waiting=1, since=LONG), machines=(free,))

    assert isinstance(change, AddReplica)
    assert change.machine == "free"
    assert change.demand.size == 10 * GIB


@pytest.mark.parametrize(
    "replicas",
    [
        [replica(1, waiting=3, since=SHORT)],
        [replica(1, waiting=1, since=LONG), replica(2)],
        [replica(1, waiting=1, since=LONG), replace(replica(2), phase=Phase.LOADING)],
        [replica(n, waiting=1, since=LONG) for n in (1, 2, 3)],
    ],
    ids=["not long", "room at another", "one is coming", "enough"],
)
def test_there_is_none_more(replicas: list[RunnerView]) -> None:
    assert _scale(*replicas, machines=(machine("free"),)) == []


def test_one_that_ends_with_its_machine_does_not_count() -> None:
    ending = replace(replica(2), phase=Phase.DRAINING)
    state = State(
        machines=(machine("m1"), machine("free")),
        runners=(replica(1, waiting=1, since=LONG), ending),
    )

    [change] = scale(state, NOW, max_replicas=2)
    assert isinstance(change, AddReplica)
    assert change.machine == "free"


def test_nothing_is_evicted_for_a_replica() -> None:
    other = replace(runner(7, "other", machine="full"), size=60 * GIB)
    full = machine("full", free=4)

    assert _scale(replica(1, waiting=1, since=LONG), other, machines=(full,)) == []


def test_one_that_was_idle_for_long_is_unloaded_the_oldest_first() -> None:
    long_ago = NOW - REMOVE_AFTER
    replicas = [
        replica(1, users=3),
        replica(2, users=0, last_used=long_ago),
        replica(3, users=0, last_used=long_ago - 5),
    ]

    assert _scale(*replicas) == [RemoveReplica(3)]


@pytest.mark.parametrize(
    "replicas",
    [
        [replica(1, users=0, last_used=0.0)],
        [replica(1), replica(2, users=0, last_used=NOW - REMOVE_AFTER + 1)],
        [replica(1, waiting=1, since=SHORT), replica(2, users=0, last_used=0.0)],
    ],
    ids=["the only one", "not for long", "others are busy"],
)
def test_none_is_unloaded(replicas: list[RunnerView]) -> None:
    assert _scale(*replicas) == []
