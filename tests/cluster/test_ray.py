"""A Ray cluster on this machine: placing, replicas, death of agents and nodes, and what is left."""

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cluster.ray_nodes import RayCluster, ray_cluster
from tests.support.live_server import LiveServer, eventually, live_server

STREAMS = 16
ROUNDS = 5
SPARE_FILES = 8
NOTICED_SECONDS = 20.0
"""Seven beats of a second, and room for a busy machine."""
ENDLESS = {"temperature": 1.0, "num_predict": 100_000, "num_ctx": 1024, "ignore_eos": True}
SHORT = {"num_predict": 3}


@dataclass
class World:
    """A server with the machines of a Ray cluster."""

    ray: RayCluster
    server: LiveServer

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.server.url}{path}", timeout=60).json()

    def machines(self) -> dict[str, dict[str, Any]]:
        """Return the machines that can be used, by their names."""
        listed = self.get("/api/cluster")["machines"]
        return {each["name"]: each for each in listed if each["state"] != "unreachable"}

    def has(self, *names: str) -> bool:
        """Wait until exactly these machines can be used, besides the server's own."""
        return eventually(lambda: self.machines().keys() == {"local", *names}, seconds=60)

    def places(self, model: str = "slow") -> set[str]:
        """Return the machines that have a model in memory."""
        return {
            name
            for name, machine in self.machines().items()
            for loaded in machine.get("models", ())
            if loaded["name"] == f"{model}:latest"
        }

    def answer(self, model: str = "slow", **options: Any) -> httpx.Response:
        body = {"model": model, "prompt": "Once", "options": {**SHORT, **options}, "stream": False}
        return httpx.post(f"{self.server.url}/api/generate", json=body, timeout=60)

    def stream(self, **fields: Any) -> list[dict[str, Any]]:
        """Return all objects of an answer without end."""
        body = {"model": "slow", "prompt": "Once", "options": ENDLESS, **fields}
        with httpx.stream(
            "POST", f"{self.server.url}/api/generate", json=body, timeout=120
        ) as answer:
            return [json.loads(line) for line in answer.iter_lines()]

    def drain(self, machine: str, is_drained: bool) -> bool:
        body = {"machine": machine, "drain": is_drained}
        return httpx.post(f"{self.server.url}/api/cluster/drain", json=body, timeout=60).is_success

    @property
    def is_alive(self) -> bool:
        return self.server.process.poll() is None

    @property
    def log(self) -> str:
        return self.server.log.read_text()

    def running(self) -> list[dict[str, Any]]:
        return list(self.get("/api/queue")["requests"])

    @contextmanager
    def streams(self, count: int = STREAMS) -> Iterator[list["Future[list[dict[str, Any]]]"]]:
        """Begin answers without end; the block ends them."""
        with ThreadPoolExecutor(count) as threads:
            streams = [threads.submit(self.stream) for _ in range(count)]
            try:
                assert eventually(
                    lambda: len([r for r in self.running() if r.get("generated_tokens")]) >= count,
                    seconds=60,
                ), self.running()
                yield streams
            finally:
                for request in self.running() if self.is_alive else ():
                    httpx.delete(f"{self.server.url}/api/requests/{request['id']}", timeout=60)


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path) -> Iterator[RayCluster]:
    """Two nodes, of which `a` has the file of the model `slow` in its own store."""
    directory = tmp_path_factory.mktemp("ray")
    name = f"sha256-{hashlib.sha256(slow_gguf.read_bytes()).hexdigest()}"
    own = directory / "a" / "models" / "blobs"
    own.mkdir(parents=True)
    (own / name).write_bytes(slow_gguf.read_bytes())
    with ray_cluster(directory, "a", "b") as cluster:
        yield cluster


@contextmanager
def served(ray: RayCluster, directory: Path) -> Iterator[World]:
    with live_server(directory, OLLAMA_NUM_PARALLEL=str(STREAMS), **ray.settings) as server:
        yield World(ray, server)


@pytest.fixture(scope="module")
def server(
    ray: RayCluster, tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path
) -> Iterator[World]:
    with served(ray, tmp_path_factory.mktemp("server")) as world:
        world.server.create("slow", slow_gguf)
        yield world


@pytest.fixture
def world(server: World) -> Iterator[World]:
    """Both nodes, and no model in memory; a test leaves no request behind.

    Models are loaded on `a`, where their files lie, because `b` may have them by now as well.
    """
    assert server.has("a", "b"), server.log
    assert server.drain("b", True)
    httpx.post(f"{server.server.url}/api/unload", json={"all": True}, timeout=60)
    assert eventually(lambda: not server.get("/api/ps")["models"], seconds=60)
    yield server
    assert not server.is_alive or eventually(lambda: not server.running(), seconds=60)


def test_a_model_is_loaded_where_its_files_lie_and_sent_where_they_do_not(world: World) -> None:
    assert world.answer().status_code == 200
    assert world.places() == {"a"}
    [model] = world.get("/api/ps")["models"]
    [replica] = model["replicas"]
    assert (replica["machine"], replica["devices"]) == ("a", ["CPU"])
    assert world.drain("a", True)
    assert eventually(lambda: not world.get("/api/ps")["models"])
    assert world.drain("local", True) is False
    assert world.answer().status_code == 200
    assert "a" not in world.places()
    assert world.drain("a", False)


def test_an_agent_that_is_killed_ends_its_streams_and_comes_back(world: World) -> None:
    world.answer()
    runners = world.ray.runners("a")
    with world.streams() as streams:
        world.ray.agent("a").kill()
        assert_each_has_one_error(streams, "a")
    assert psutil.wait_procs(runners, timeout=20)[1] == []
    assert world.has("a", "b")
    assert world.answer().status_code == 200
    assert world.places() == {"a"}


def test_a_node_that_dies_ends_its_streams_and_is_used_again_when_it_is_back(world: World) -> None:
    world.answer()
    with world.streams() as streams:
        world.ray.kill("a")
        assert_each_has_one_error(streams, "a")
    assert world.answer().status_code == 200
    assert "a" not in world.places()
    world.ray.add("a")
    assert world.has("a", "b")


def test_a_node_that_is_stopped_is_noticed_and_used_again_when_it_goes_on(world: World) -> None:
    world.answer()
    try:
        with world.streams(4) as streams:
            world.ray.signal("a", signal.SIGSTOP)
            assert_each_has_one_error(streams, "a")
        assert world.answer().status_code == 200
        assert "a" not in world.places()
    finally:
        world.ray.signal("a", signal.SIGCONT)


def test_a_model_whose_requests_wait_has_a_replica(world: World) -> None:
    world.answer()
    with ThreadPoolExecutor(2) as threads:
        with world.streams():
            waiting = [threads.submit(world.answer) for _ in range(2)]
            assert eventually(lambda: len(world.places()) > 1, seconds=60)
            assert world.answer().status_code == 200  # on the replica: the first has no slot
        assert [each.result().status_code for each in waiting] == [200, 200]


def test_nothing_is_left_after_rounds_of_loads_and_of_clients_that_leave(world: World) -> None:
    world.answer()
    agent = world.ray.agent("a")
    before = agent.num_fds(), world.server.process.num_fds()
    for _ in range(ROUNDS):
        world.answer()
        with world.streams(2):
            pass
        httpx.post(f"{world.server.url}/api/unload", json={"all": True}, timeout=60)
        assert eventually(lambda: not world.get("/api/ps")["models"], seconds=60)
    assert eventually(lambda: len(world.ray.runners("a")) <= 1), "the one that waits for a load"
    assert eventually(lambda: agent.num_fds() <= before[0] + SPARE_FILES)
    assert eventually(lambda: world.server.process.num_fds() <= before[1] + SPARE_FILES)


def test_a_second_server_is_refused(world: World, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="another paddock server has this Ray cluster"),
        served(world.ray, tmp_path),
    ):
        pass


def test_a_server_that_is_killed_leaves_no_runners_and_its_successor_has_the_machines(
    world: World, tmp_path: Path
) -> None:
    world.answer()
    runners = world.ray.runners("a")
    with world.streams(2) as streams:
        world.server.process.kill()
        world.server.process.wait(20)
        wait(streams, timeout=60)
    assert psutil.wait_procs(runners, timeout=30)[1] == []
    with served(world.ray, tmp_path) as successor:
        assert successor.has("a", "b")


def assert_each_has_one_error(streams: list["Future[list[dict[str, Any]]]"], machine: str) -> None:
    """Each stream ends soon, with an error that names the machine as its last object."""
    began = time.monotonic()
    for stream in streams:
        *pieces, last = stream.result(timeout=60)
        assert pieces
        assert not any("error" in piece for piece in pieces)
        assert f"the machine {machine}, which computed the answer" in last["error"]
    assert time.monotonic() - began < NOTICED_SECONDS
