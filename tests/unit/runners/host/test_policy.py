"""The decision, as tables: state and request in, what to do out."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runners.host.decisions import Decision, Evict, Load, Reject, Reuse, Wait
from runners.host.model_request import LoadOptions, ModelKey
from runners.host.policy import (
    MachineView,
    Phase,
    RunnerDemand,
    RunnerView,
    State,
    choose_victim,
    decide,
    serves,
)
from runners.host.runner_index import RunnerIndex
from tests.support.models import model_request

NOW = 1000.0
HERE = MachineView(name="here", max_loaded=2)


def key(name: str) -> ModelKey:
    return ModelKey(Path(f"/{name}.gguf"))


def demand(
    name: str,
    *,
    n_ctx: int = 4096,
    full_machines: tuple[str, ...] = (),
    admitted: bool = True,
    is_background: bool = False,
    **options: int | bool | None,
) -> RunnerDemand:
    load_options = replace(LoadOptions(), **options)
    return RunnerDemand(
        key=key(name),
        options=load_options,
        n_ctx=load_options.num_ctx or n_ctx,
        full_machines=frozenset(full_machines),
        admitted=admitted,
        is_background=is_background,
    )


def runner(
    id: int,
    name: str,
    phase: Phase = Phase.READY,
    *,
    users: int = 0,
    background_users: int = 0,
    machine: str = "here",
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
        machine=machine,
        key=key(name),
        phase=phase,
        options=replace(LoadOptions(), **options),
        n_ctx=n_ctx,
        context_automatic=automatic,
        use_mmap=use_mmap,
        users=users,
        background_users=background_users,
        keep_alive=keep_alive,
        expires_at=NOW + expires_in,
        last_used=last_used,
    )


@dataclass
class Case:
    name: str
    request: RunnerDemand
    expected: Decision
    runners: tuple[RunnerView, ...] = ()
    ahead: tuple[RunnerDemand, ...] = ()
    machines: tuple[MachineView, ...] = (HERE,)


LOADING, DRAINING = Phase.LOADING, Phase.DRAINING
THERE = MachineView(name="there", max_loaded=2)
CASES = [
    Case("nothing loaded", demand("a"), Load("here")),
    Case("loaded", demand("a"), Reuse(1), (runner(1, "a"),)),
    Case("loaded and busy", demand("a"), Reuse(1), (runner(1, "a", users=99),)),
    Case("another loaded, room for two", demand("a"), Load("here"), (runner(1, "b"),)),
    Case("being loaded", demand("a"), Wait(), (runner(1, "a", LOADING),)),
    Case("another being loaded", demand("a"), Wait(), (runner(1, "b", LOADING),)),
    Case("draining takes nothing new", demand("a"), Wait(), (runner(1, "a", DRAINING, users=1),)),
    Case(
        "draining with its machine: loaded on another one",
        demand("a"),
        Load("there"),
        (runner(1, "a", DRAINING, users=1, machine="drained"),),
        machines=(THERE,),
    ),
    Case(
        "full: idle before busy",
        demand("a"),
        Evict(2),
        (runner(1, "b", users=1, keep_alive=1), runner(2, "c")),
    ),
    Case(
        "full: soonest to expire",
        demand("a"),
        Evict(2),
        (runner(1, "b", expires_in=9), runner(2, "c", expires_in=5)),
    ),
    Case(
        "full: all busy, one must finish",
        demand("a"),
        Evict(2),
        (runner(1, "b", users=1), runner(2, "c", users=1, keep_alive=5)),
    ),
    Case(
        "full: background requests are no reason to stay",
        demand("a"),
        Evict(2),
        (runner(1, "b", expires_in=9), runner(2, "c", expires_in=99, background_users=3)),
    ),
    Case(
        "background: loaded",
        demand("a", is_background=True),
        Reuse(1),
        (runner(1, "a", users=1),),
    ),
    Case("background: nobody else", demand("a", is_background=True), Load("here")),
    Case(
        "background: room beside an idle one",
        demand("a", is_background=True),
        Load("here"),
        (runner(1, "b"),),
    ),
    Case(
        "background: somebody is answered",
        demand("a", is_background=True),
        Wait(),
        (runner(1, "b", users=1),),
    ),
    Case(
        "background: somebody waits",
        demand("a", is_background=True),
        Wait(),
        ahead=(demand("b"),),
    ),
    Case(
        "background: full, nothing is evicted",
        demand("a", is_background=True),
        Wait(),
        (runner(1, "b"), runner(2, "c")),
    ),
    Case(
        "background: loaded with less context",
        demand("a", is_background=True, num_ctx=8192),
        Wait(),
        (runner(1, "a", num_ctx=4096, automatic=False),),
    ),
    Case(
        "background requests are not ahead of others",
        demand("a"),
        Load("here"),
        ahead=(demand("a", is_background=True),),
    ),
    Case(
        "full: one is unloading already",
        demand("a"),
        Wait(),
        (runner(1, "b"), runner(2, "c", DRAINING)),
    ),
    Case(
        "full: not a second busy one",
        demand("a"),
        Wait(),
        (runner(1, "b", users=1), runner(2, "c", DRAINING, users=1)),
    ),
    Case(
        "full: an idle one goes although a busy one was chosen before",
        demand("a"),
        Evict(1),
        (runner(1, "b"), runner(2, "c", DRAINING, users=1)),
    ),
    Case(
        "full: the one unloading makes room for another request",
        demand("a"),
        Evict(1),
        (runner(1, "b", users=1), runner(2, "c", DRAINING, users=1)),
        ahead=(demand("x"),),
    ),
    Case(
        "a busy victim of another request blocks nobody who has room",
        demand("a"),
        Load("here"),
        (runner(1, "b", DRAINING, users=1),),
        ahead=(demand("x", full_machines=("here",)),),
    ),
    Case(
        "an earlier request for the same model is pending",
        demand("a"),
        Wait(),
        ahead=(demand("a"),),
    ),
    Case(
        "full_machines: a neighbour goes",
        demand("a", full_machines=("here",)),
        Evict(1),
        (runner(1, "b"),),
    ),
    Case("full_machines but alone", demand("a", full_machines=("here",)), Load("here")),
    Case(
        "full_machines, neighbour unloading",
        demand("a", full_machines=("here",)),
        Wait(),
        (runner(1, "b", DRAINING),),
    ),
    Case(
        "context too small: replaced, not doubled",
        demand("a", num_ctx=8192),
        Evict(1),
        (runner(1, "a"),),
    ),
    Case(
        "context too small, runner busy",
        demand("a", num_ctx=8192),
        Evict(1),
        (runner(1, "a", users=1),),
    ),
    Case(
        "the second machine has room",
        demand("a"),
        Load("there"),
        (runner(1, "b"), runner(2, "c")),
        machines=(HERE, THERE),
    ),
    Case(
        "the first machine is busy loading",
        demand("a"),
        Load("there"),
        (runner(1, "b", LOADING),),
        machines=(HERE, THERE),
    ),
    Case(
        "a runner on another machine serves",
        demand("a"),
        Reuse(1),
        (runner(1, "a", machine="there"),),
        machines=(HERE, THERE),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_decide(case: Case) -> None:
    state = State(machines=case.machines, runners=case.runners, pending=(*case.ahead, case.request))
    assert decide(state, case.request, NOW) == case.expected


def test_queue_refuses_only_requests_that_must_wait_for_a_load() -> None:
    queue = (demand("x"), demand("y"))
    full = State(
        machines=(HERE,), runners=(runner(1, "a"), runner(2, "b")), pending=queue, max_queue=2
    )
    assert decide(full, demand("c", admitted=False), NOW) == Reject()
    assert decide(full, demand("a", admitted=False), NOW) == Reuse(1)
    assert isinstance(decide(full, queue[1], NOW), Evict)


def test_queue_of_length_none_still_loads_what_can_be_loaded_at_once() -> None:
    empty = State(machines=(HERE,), max_queue=0)
    assert decide(empty, demand("a", admitted=False), NOW) == Load("here")


def test_background_requests_wait_beside_the_queue_and_are_never_refused() -> None:
    waiting = (demand("b", is_background=True),) * 9
    loading = (runner(1, "c", LOADING),)
    state = State(machines=(HERE,), runners=loading, pending=waiting, max_queue=1)

    assert decide(state, demand("a", admitted=False), NOW) == Wait()
    full = replace(state, pending=(demand("b"),), max_queue=0)
    assert decide(full, demand("a", admitted=False, is_background=True), NOW) == Wait()


def test_request_that_a_load_was_started_for_is_not_counted_as_waiting() -> None:
    state = State(
        machines=(HERE,), runners=(runner(1, "a", LOADING),), pending=(demand("a"),), max_queue=1
    )
    assert decide(state, demand("b", admitted=False), NOW) == Wait()


@pytest.mark.parametrize(
    ("loaded", "request_", "expected"),
    [
        pytest.param({}, {}, True, id="no options"),
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
    state = State(machines=(HERE,))
    assert serves(state, runner(1, "a", **loaded), demand("a", **request_)) is expected


@pytest.mark.parametrize(
    ("options", "with_gpu"),
    [({"num_gpu": 5}, False), ({"main_gpu": 1}, False), ({"num_gpu": -1}, True)],
)
def test_gpu_options_matter_only_where_there_are_gpus(options: dict, with_gpu: bool) -> None:
    """Clients send `num_gpu` to every server; without a GPU it must not cause reloads."""
    for has_gpu, expected in ((False, True), (True, with_gpu)):
        state = State(machines=(replace(HERE, has_gpu=has_gpu),))
        assert serves(state, runner(1, "a"), demand("a", **options)) is expected


def test_adapters_are_no_part_of_a_models_identity_but_a_projector_is() -> None:
    """Models made of the same weights share a runner; each request brings its adapters."""
    adapted = model_request("a", adapters=(Path("/lora.gguf"),))
    assert adapted.key == model_request("a").key
    seeing = replace(demand("a"), key=ModelKey(key("a").weights, Path("/mmproj.gguf")))
    assert not serves(State(machines=(HERE,)), runner(1, "a"), seeing)


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


GIB = 2**30


def machine(name: str, *, memory: int = 64, free: int = 64, gpu_free: int = 0, files: str = ""):  # type: ignore[no-untyped-def]
    return MachineView(
        name=name, max_loaded=4, has_gpu=gpu_free > 0, memory=memory * GIB, free=free * GIB,
        gpu_free=gpu_free * GIB, files=frozenset(map(key, files.split())),
    )  # fmt: skip


def sized(name: str, size: int, prefix: tuple[int, ...] = ()) -> RunnerDemand:
    return replace(demand(name), size=size * GIB, prefix=prefix)


@pytest.mark.parametrize(
    ("machines", "chosen"),
    [
        ([machine("a", free=20), machine("b", free=60)], "b"),
        ([machine("a", free=60), machine("b", free=20, gpu_free=16)], "b"),
        ([machine("a", free=60), machine("b", free=60, gpu_free=4)], "a"),
        ([machine("a", free=60, gpu_free=16), machine("b", free=20, files="x m")], "b"),
        ([machine("a", free=5, files="m"), machine("b", free=60)], "b"),
        ([machine("a", free=20), machine("b", free=20)], "a"),
    ],
    ids=["most memory", "GPU", "too small a GPU", "files", "files but full", "equal"],
)
def test_a_model_is_loaded_where_its_files_lie_then_on_a_gpu_then_where_memory_is(
    machines: list[MachineView], chosen: str
) -> None:
    # A machine that is full has a runner, else a load would find out why.
    runners = (runner(1, "other", users=1, machine="a"), runner(2, "other", users=1, machine="b"))
    state = State(machines=machines, runners=runners)

    assert decide(state, sized("m", 10), NOW) == Load(chosen)


def test_a_machine_that_is_too_small_evicts_nothing_for_a_model() -> None:
    machines = [machine("small", memory=8, free=0), machine("large", free=0)]
    runners = (runner(1, "a", machine="small"), runner(2, "b", machine="large"))

    assert decide(State(machines=machines, runners=runners), sized("m", 10), NOW) == Evict(2)


def test_a_model_that_is_too_large_for_all_is_loaded_to_learn_why_it_fails() -> None:
    state = State(machines=[machine("a"), machine("b", memory=32)])

    assert decide(state, sized("m", 100), NOW) == Load("a")


def test_of_all_machines_the_runner_that_is_needed_least_is_evicted() -> None:
    machines = [machine("a", free=0), machine("b", free=0)]
    runners = (
        runner(1, "x", machine="a", users=1),
        runner(2, "y", machine="b", expires_in=200.0),
        runner(3, "z", machine="b", expires_in=100.0),
    )

    assert decide(State(machines=machines, runners=runners), sized("m", 10), NOW) == Evict(3)


@pytest.mark.parametrize(
    ("users", "prefixes", "chosen"),
    [
        ((2, 1), ((), ()), 2),
        ((2, 1), ((10, 11), (10,)), 1),
        ((2, 1), ((11, 12), (10,)), 2),
        ((9, 1), ((10, 11, 12), ()), 2),
        ((5, 1), ((10, 11, 12), ()), 1),
    ],
    ids=["least busy", "longest prefix", "a prefix has no gaps", "too busy", "just not too busy"],
)
def test_a_request_goes_to_the_replica_that_knows_its_beginning_unless_that_is_too_busy(
    users: tuple[int, int], prefixes: tuple[tuple[int, ...], ...], chosen: int
) -> None:
    replicas = tuple(
        replace(runner(id, "m", users=n, machine=str(id)), prefixes=frozenset(known))
        for id, n, known in zip((1, 2), users, prefixes, strict=True)
    )
    state = State(machines=[machine("1"), machine("2")], runners=replicas)

    assert decide(state, sized("m", 10, (10, 11, 12)), NOW) == Reuse(chosen)


def test_an_index_gives_the_decisions_of_a_plain_list() -> None:
    machines = [machine("a", free=0), machine("b", free=20)]
    runners = [runner(1, "x", machine="a"), runner(2, "y", machine="b", users=2)]
    index = RunnerIndex()
    for each in (*runners, runner(3, "gone", machine="b")):
        index.put(each)
    index.remove(3)

    for request in (sized("x", 1), sized("y", 1), sized("m", 10), sized("m", 30)):
        plain = decide(State(machines=machines, runners=tuple(runners)), request, NOW)
        assert decide(State(machines=machines, runners=index), request, NOW) == plain
