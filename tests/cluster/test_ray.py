"""A Ray cluster on this machine: placing, replicas, death of agents and nodes, and what is left."""

import hashlib
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.ray_nodes import RayCluster, ray_cluster
from tests.cluster.world import STREAMS, World, assert_each_has_one_error
from tests.support.live_server import eventually, live_server
from tests.support.tiny_models import write_llama

ROUNDS = 50
WARM_UP_ROUNDS = 5
"""What Python, Ray and the allocator keep is there by then."""
SPARE_FILES = 8
SPARE_BYTES = 24 << 20
NODES = ("a", "b", "c")
PROMPTS = [f"{name} " * 60 for name in ("sun", "dog", "tree")]


@pytest.fixture(scope="module")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("small") / "small.gguf", seed=1)


@pytest.fixture(scope="module")
def ray(
    tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path, small_gguf: Path
) -> Iterator[RayCluster]:
    """Three nodes: `a` has the file of the model `slow` in its own store, `c` that of `small`."""
    directory = tmp_path_factory.mktemp("ray")
    for node, file in (("a", slow_gguf), ("c", small_gguf)):
        own = directory / node / "models" / "blobs"
        own.mkdir(parents=True)
        content = file.read_bytes()
        (own / f"sha256-{hashlib.sha256(content).hexdigest()}").write_bytes(content)
    with ray_cluster(directory, *NODES) as cluster:
        yield cluster


@contextmanager
def served(ray: RayCluster, directory: Path) -> Iterator[World]:
    settings = {"OLLAMA_NUM_PARALLEL": str(STREAMS), "TMPDIR": str(ray.temporary)}
    with live_server(directory, **settings, **ray.settings) as server:
        yield World(server)


@pytest.fixture(scope="module")
def server(
    ray: RayCluster, tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path, small_gguf: Path
) -> Iterator[World]:
    with served(ray, tmp_path_factory.mktemp("server")) as world:
        world.server.create("slow", slow_gguf)
        world.server.create("small", small_gguf)
        yield world


@pytest.fixture
def world(server: World) -> Iterator[World]:
    """All nodes, and no model in memory; a test leaves no request behind.

    The model `slow` is loaded on `a`, because others that have its file by now are drained.
    """
    assert server.has(*NODES), server.log
    assert server.drain("a", False)
    assert server.drain("b", True)
    assert server.drain("c", True)
    assert server.unload()
    yield server
    assert not server.is_alive or eventually(lambda: not server.running(), seconds=60)


def test_models_are_loaded_where_their_files_lie_and_sent_where_they_do_not(world: World) -> None:
    assert world.drain("c", False)
    world.load("a", "slow")
    world.load("c", "small")
    for model in world.get("/api/ps")["models"]:
        [replica] = model["replicas"]
        place = "a" if model["name"] == "slow:latest" else "c"
        assert (replica["machine"], replica["devices"]) == (place, ["CPU"])
    for machine in ("a", "c"):
        assert world.drain(machine, True)
    assert eventually(lambda: not world.get("/api/ps")["models"])
    assert world.drain("local", True) is False
    assert world.drain("b", False)
    for model in ("slow", "small"):
        assert world.answer(model).status_code == 200
        assert world.places(model) <= {"b", "local"}


def test_a_machine_that_is_drained_ends_its_streams_while_others_have_new_ones(
    world: World,
) -> None:
    world.load("a")
    with world.streams(2) as streams:
        assert world.drain("a", True)
        assert world.drain("b", False)
        assert world.machines()["a"]["state"] == "draining"
        assert world.answer().status_code == 200
        assert not any(stream.done() for stream in streams)
        assert len(world.places() - {"a"}) == 1
    assert eventually(lambda: "a" not in world.places())


def test_an_agent_that_is_killed_ends_its_streams_and_comes_back(
    world: World, ray: RayCluster
) -> None:
    world.load("a")
    runners = ray.runners("a")
    with world.streams() as streams:
        ray.agent("a").kill()
        assert_each_has_one_error(streams, "a")
    assert psutil.wait_procs(runners, timeout=20)[1] == []
    assert world.has(*NODES)
    world.load("a")


def test_a_node_that_dies_ends_its_streams_and_is_used_again_when_it_is_back(
    world: World, ray: RayCluster
) -> None:
    world.load("a")
    with world.streams() as streams:
        ray.kill("a")
        try:
            assert_each_has_one_error(streams, "a")
            assert world.answer().status_code == 200
            assert "a" not in world.places()
        finally:
            ray.add("a")
    assert world.has(*NODES)


def test_a_node_that_is_stopped_is_noticed_and_used_again_when_it_goes_on(
    world: World, ray: RayCluster
) -> None:
    world.load("a")
    try:
        with world.streams(4) as streams:
            ray.signal("a", signal.SIGSTOP)
            assert_each_has_one_error(streams, "a")
        assert world.answer().status_code == 200
        assert "a" not in world.places()
    finally:
        ray.signal("a", signal.SIGCONT)


def test_a_model_whose_requests_wait_has_replicas_that_keep_their_conversations(
    world: World,
) -> None:
    world.load("a")
    for machine in ("b", "c"):
        assert world.drain(machine, False)
    with ThreadPoolExecutor(4) as threads:
        with world.streams():
            waiting = [threads.submit(world.answer) for _ in range(2)]
            assert eventually(lambda: len(world.places()) == 2, seconds=60)
            with world.streams():
                waiting += [threads.submit(world.answer) for _ in range(2)]
                assert eventually(lambda: len(world.places()) == 3, seconds=60)
                assert world.answer().status_code == 200  # the third has slots
        assert [each.result(60).status_code for each in waiting] == [200] * 4
    with ExitStack() as stack:
        for prompt in PROMPTS:  # each replica takes one: that which is not busy
            stack.enter_context(world.streams(1, prompt=prompt))
        [model] = world.get("/api/ps")["models"]
        assert [replica["requests"] for replica in model["replicas"]] == [1, 1, 1]
    for prompt in reversed(PROMPTS):
        answer = world.post("/v1/completions", model="slow", prompt=prompt, max_tokens=2)
        usage = answer.json()["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > usage["prompt_tokens"] / 2


def test_nothing_is_left_after_rounds_of_loads_and_of_clients_that_leave(
    world: World, ray: RayCluster
) -> None:
    agent, server = ray.agent("a"), world.server.process

    def rounds(count: int) -> None:
        for _ in range(count):
            _leave_after_some_pieces(world)
            assert world.unload()

    def n_processes() -> int:
        return len(ray.runners("a")) + len(server.children(recursive=True))

    rounds(WARM_UP_ROUNDS)
    assert eventually(lambda: len(ray.runners("a")) == 1), "the one that waits for a load"
    files, memory = (agent.num_fds(), server.num_fds()), _memory(agent, server)
    processes, temporary = n_processes(), _temporary_files(ray)
    rounds(ROUNDS)
    assert eventually(lambda: n_processes() <= processes)
    assert eventually(lambda: agent.num_fds() <= files[0] + SPARE_FILES)
    assert eventually(lambda: server.num_fds() <= files[1] + SPARE_FILES)
    assert _temporary_files(ray) <= temporary
    for now, before in zip(_memory(agent, server), memory, strict=True):
        assert now < before + SPARE_BYTES


def _leave_after_some_pieces(world: World) -> None:
    body = {"model": "slow", "prompt": "Once", "options": {"num_predict": 1000}}
    url = f"{world.server.url}/api/generate"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for _ in zip(range(3), answer.iter_lines(), strict=False):
            pass


def _memory(*processes: psutil.Process) -> list[int]:
    return [process.memory_info().rss for process in processes]


def _temporary_files(ray: RayCluster) -> set[Path]:
    """Return the temporary files of all nodes, and files that are being received."""
    return {*ray.temporary.rglob("*"), *ray.directory.rglob("*.partial")}


def test_a_second_server_is_refused(world: World, ray: RayCluster, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="another paddock server has this Ray cluster"),
        served(ray, tmp_path),
    ):
        pass


def test_a_server_that_is_killed_leaves_no_runners_and_its_successor_has_the_machines(
    world: World, ray: RayCluster, tmp_path: Path
) -> None:
    world.load("a")
    runners = ray.runners("a")
    with world.streams(2) as streams:
        world.server.process.kill()
        world.server.process.wait(20)
        wait(streams, timeout=60)
    assert psutil.wait_procs(runners, timeout=30)[1] == []
    with served(ray, tmp_path) as successor:
        assert successor.has(*NODES)
