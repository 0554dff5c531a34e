"""The decision, as tables: state and request in, what to do out."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runners.host.policy import (
    Decision,
    Evict,
    Load,
    Phase,
    Place,
    Reject,
    Reuse,
    RunnerView,
    State,
    Wait,
    Wanted,
    choose_victim,
    decide,
    serves,
)
from runners.host.requests import LoadOptions, ModelKey

NOW = 1000.0
HERE = Place(name="here", max_loaded=2)


def key(name: str) -> ModelKey:
    return ModelKey(Path(f"/{name}.gguf"))


def wanted(
    name: str,
    *,
    n_ctx: int = 4096,
    crowded: tuple[str, ...] = (),
    admitted: bool = True,
    **options: int | bool | None,
) -> Wanted:
    asked = replace(LoadOptions(), **options)
    return Wanted(
        key=key(name),
        options=asked,
        n_ctx=asked.num_ctx or n_ctx,
        crowded=frozenset(crowded),
        admitted=admitted,
    )


def runner(
    id: int,
    name: str,
    phase: Phase = Phase.READY,
    *,
    users: int = 0,
    place: str = "here",
    expires_in: float = 300.0,
    keep_alive: float = 300.0,
    last_used: float = 0.0,
    n_ctx: int = 4096,
    automatic: bool = True,
    use_mmap: bool = True,
    **options: int | bool | None,
) -> RunnerView:
    return RunnerView(
        id=id,
        place=place,
        key=key(name),
        phase=phase,
        asked=replace(LoadOptions(), **options),
        n_ctx=n_ctx,
        context_automatic=automatic,
        use_mmap=use_mmap,
        users=users,
        keep_alive=keep_alive,
        expires_at=NOW + expires_in,
        last_used=last_used,
    )


@dataclass
class Case:
    name: str
    request: Wanted
    expected: Decision
    runners: tuple[RunnerView, ...] = ()
    ahead: tuple[Wanted, ...] = ()
    places: tuple[Place, ...] = (HERE,)


LOADING, DRAINING = Phase.LOADING, Phase.DRAINING
THERE = Place(name="there", max_loaded=2)
CASES = [
    Case("nothing loaded", wanted("a"), Load("here")),
    Case("loaded", wanted("a"), Reuse(1), (runner(1, "a"),)),
    Case("loaded and busy", wanted("a"), Reuse(1), (runner(1, "a", users=99),)),
    Case("another loaded, room for two", wanted("a"), Load("here"), (runner(1, "b"),)),
    Case("being loaded", wanted("a"), Wait(), (runner(1, "a", LOADING),)),
    Case("another being loaded", wanted("a"), Wait(), (runner(1, "b", LOADING),)),
    Case("draining takes nothing new", wanted("a"), Wait(), (runner(1, "a", DRAINING, users=1),)),
    Case(
        "full: idle before busy",
        wanted("a"),
        Evict(2),
        (runner(1, "b", users=1, keep_alive=1), runner(2, "c")),
    ),
    Case(
        "full: soonest to expire",
        wanted("a"),
        Evict(2),
        (runner(1, "b", expires_in=9), runner(2, "c", expires_in=5)),
    ),
    Case(
        "full: all busy, one must finish",
        wanted("a"),
        Evict(2),
        (runner(1, "b", users=1), runner(2, "c", users=1, keep_alive=5)),
    ),
    Case(
        "full: one is leaving already",
        wanted("a"),
        Wait(),
        (runner(1, "b"), runner(2, "c", DRAINING)),
    ),
    Case(
        "full: not a second busy one",
        wanted("a"),
        Wait(),
        (runner(1, "b", users=1), runner(2, "c", DRAINING, users=1)),
    ),
    Case(
        "full: an idle one goes although a busy one was chosen before",
        wanted("a"),
        Evict(1),
        (runner(1, "b"), runner(2, "c", DRAINING, users=1)),
    ),
    Case(
        "full: the one leaving makes room for another request",
        wanted("a"),
        Evict(1),
        (runner(1, "b", users=1), runner(2, "c", DRAINING, users=1)),
        ahead=(wanted("x"),),
    ),
    Case(
        "a busy victim of another request blocks nobody who has room",
        wanted("a"),
        Load("here"),
        (runner(1, "b", DRAINING, users=1),),
        ahead=(wanted("x", crowded=("here",)),),
    ),
    Case("the same model is asked for first by another", wanted("a"), Wait(), ahead=(wanted("a"),)),
    Case("crowded: a neighbour goes", wanted("a", crowded=("here",)), Evict(1), (runner(1, "b"),)),
    Case("crowded but alone", wanted("a", crowded=("here",)), Load("here")),
    Case(
        "crowded, neighbour leaving",
        wanted("a", crowded=("here",)),
        Wait(),
        (runner(1, "b", DRAINING),),
    ),
    Case(
        "context too small: replaced, not doubled",
        wanted("a", num_ctx=8192),
        Evict(1),
        (runner(1, "a"),),
    ),
    Case(
        "context too small, runner busy",
        wanted("a", num_ctx=8192),
        Evict(1),
        (runner(1, "a", users=1),),
    ),
    Case(
        "the second host has room",
        wanted("a"),
        Load("there"),
        (runner(1, "b"), runner(2, "c")),
        places=(HERE, THERE),
    ),
    Case(
        "the first host is busy loading",
        wanted("a"),
        Load("there"),
        (runner(1, "b", LOADING),),
        places=(HERE, THERE),
    ),
    Case(
        "a runner on another host serves",
        wanted("a"),
        Reuse(1),
        (runner(1, "a", place="there"),),
        places=(HERE, THERE),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_decide(case: Case) -> None:
    state = State(places=case.places, runners=case.runners, waiting=(*case.ahead, case.request))
    assert decide(state, case.request, NOW) == case.expected


def test_queue_refuses_only_requests_that_must_wait_for_a_load() -> None:
    queue = (wanted("x"), wanted("y"))
    full = State(
        places=(HERE,), runners=(runner(1, "a"), runner(2, "b")), waiting=queue, max_queue=2
    )
    assert decide(full, wanted("c", admitted=False), NOW) == Reject()
    assert decide(full, wanted("a", admitted=False), NOW) == Reuse(1)
    assert isinstance(decide(full, queue[1], NOW), Evict)


def test_queue_of_length_none_still_loads_what_can_be_loaded_at_once() -> None:
    empty = State(places=(HERE,), max_queue=0)
    assert decide(empty, wanted("a", admitted=False), NOW) == Load("here")


def test_request_that_a_load_was_started_for_is_not_counted_as_waiting() -> None:
    state = State(
        places=(HERE,), runners=(runner(1, "a", LOADING),), waiting=(wanted("a"),), max_queue=1
    )
    assert decide(state, wanted("b", admitted=False), NOW) == Wait()


@pytest.mark.parametrize(
    ("loaded", "request_", "expected"),
    [
        pytest.param({}, {}, True, id="nothing asked"),
        pytest.param({"n_ctx": 8192, "automatic": False}, {"num_ctx": 4096}, True, id="larger"),
        pytest.param({"n_ctx": 2048, "automatic": False}, {}, False, id="less than automatic"),
        pytest.param({"n_ctx": 2048}, {"n_ctx": 32768}, True, id="automatic, lowered to fit"),
        pytest.param({"num_batch": 64}, {}, True, id="batch left open"),
        pytest.param({"num_batch": 64}, {"num_batch": 64}, True, id="same batch"),
        pytest.param({}, {"num_batch": 64}, False, id="other batch"),
        pytest.param({}, {"use_mmap": True}, True, id="mapped anyway"),
        pytest.param({}, {"use_mmap": False}, False, id="not to be mapped"),
        pytest.param({}, {"num_thread": 3}, False, id="other threads"),
        pytest.param({}, {"num_thread": 0}, True, id="automatic threads"),
    ],
)
def test_runner_serves_requests_that_it_satisfies(
    loaded: dict, request_: dict, expected: bool
) -> None:
    state = State(places=(HERE,))
    assert serves(state, runner(1, "a", **loaded), wanted("a", **request_)) is expected


@pytest.mark.parametrize(
    ("options", "with_gpu"),
    [({"num_gpu": 5}, False), ({"main_gpu": 1}, False), ({"num_gpu": -1}, True)],
)
def test_gpu_options_matter_only_where_there_are_gpus(options: dict, with_gpu: bool) -> None:
    """Clients send `num_gpu` to every server; without a GPU it must not cause reloads."""
    for has_gpu, expected in ((False, True), (True, with_gpu)):
        state = State(places=(replace(HERE, has_gpu=has_gpu),))
        assert serves(state, runner(1, "a"), wanted("a", **options)) is expected


def test_adapters_are_part_of_a_models_identity() -> None:
    plain = runner(1, "a")
    adapted = replace(wanted("a"), key=ModelKey(key("a").weights, (Path("/lora.gguf"),)))
    assert not serves(State(places=(HERE,)), plain, adapted)


@pytest.mark.parametrize(
    ("runners", "needed", "victim"),
    [
        ((), (), None),
        ((runner(1, "a", last_used=2), runner(2, "b", last_used=1)), (), 2),
        ((runner(1, "a"), runner(2, "b", expires_in=math.inf)), (), 1),
        (
            (
                runner(1, "a", expires_in=math.inf, last_used=9),
                runner(2, "b", expires_in=math.inf, last_used=3),
            ),
            (),
            2,
        ),
        ((runner(1, "a", expires_in=1), runner(2, "b")), (1,), 2),
        ((runner(1, "a", expires_in=1),), (1,), 1),
        ((runner(1, "a"), runner(2, "b", users=1)), (1,), 2),
    ],
)
def test_victim_is_the_runner_that_is_missed_least(
    runners: tuple[RunnerView, ...], needed: tuple[int, ...], victim: int | None
) -> None:
    chosen = choose_victim(runners, frozenset(needed), NOW)
    assert (chosen.id if chosen else None) == victim
