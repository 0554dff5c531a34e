"""Peers and a Ray cluster over a cable that delays, loses packets, and lets none through."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.cluster.namespaces import Hosts, two_hosts_with_bad_cable
from tests.cluster.ray_hosts import PORT, ray_node, runners_below
from tests.cluster.tun_cable import PERFECT, TunCable
from tests.cluster.world import World, assert_each_has_one_error
from tests.support.live_server import eventually, live_server

SLOTS = 4
LOSSY = (0.05, 0.05)
MANY_LOST = 6
SLOW = (0.02, 0.02)
LONG = {"temperature": 0, "num_predict": 60}


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[Hosts, TunCable]]:
    with two_hosts_with_bad_cable() as made:
        yield made


@pytest.fixture
def cable(network: tuple[Hosts, TunCable]) -> Iterator[TunCable]:
    """A cable that is as good as new before and after the test."""
    _, cable = network
    yield cable
    cable.delay = cable.loss = PERFECT


@pytest.fixture(scope="module")
def peers(
    network: tuple[Hosts, TunCable], tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path
) -> Iterator[World]:
    """A front server, whose peer on the other host has the model `slow`."""
    hosts, _ = network
    address = f"{hosts.addresses[1]}:11434"
    with ExitStack() as stack:
        with hosts.inside(1):
            settings = {"OLLAMA_HOST": address, "PADDOCK_INSECURE": "1", "PADDOCK_SHARE": "1"}
            peer = stack.enter_context(live_server(tmp_path_factory.mktemp("peer"), **settings))
            peer.create("slow", slow_gguf)
        with hosts.inside(0):
            front = stack.enter_context(
                live_server(tmp_path_factory.mktemp("front"), PADDOCK_PEERS=f"http://{address}",
                            PADDOCK_REGISTRY=f"http://{address}")
            )  # fmt: skip
        yield World(front, lambda: hosts.inside(0))


@pytest.fixture(scope="module")
def node(
    network: tuple[Hosts, TunCable], tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path
) -> Iterator[psutil.Popen]:
    """A Ray node on the other host, which has the file of `slow`; the head is on the first."""
    hosts, _ = network
    models = tmp_path_factory.mktemp("node") / "models"
    (models / "blobs").mkdir(parents=True)
    content = slow_gguf.read_bytes()
    (models / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}").write_bytes(content)
    with (
        ray_node(hosts, 0, "head", {}),
        ray_node(hosts, 1, "node", {"OLLAMA_MODELS": str(models)}) as process,
    ):
        yield process


@pytest.fixture(scope="module")
def cluster(
    network: tuple[Hosts, TunCable],
    node: psutil.Popen,
    tmp_path_factory: pytest.TempPathFactory,
    slow_gguf: Path,
) -> Iterator[World]:
    """A server on the first host that has the cluster."""
    hosts, _ = network
    settings = {
        "PADDOCK_CLUSTER": f"{hosts.addresses[0]}:{PORT}",
        "OLLAMA_NUM_PARALLEL": str(SLOTS),
    }
    with hosts.inside(0), live_server(tmp_path_factory.mktemp("head"), **settings) as server:
        server.create("slow", slow_gguf)
        yield World(server, lambda: hosts.inside(0))


def _answers(world: World) -> list[str]:
    with ThreadPoolExecutor(SLOTS) as threads:
        answers = list(threads.map(lambda _: world.answer(**LONG), range(SLOTS)))
    assert all(answer.status_code == 200 for answer in answers)
    return [answer.json()["response"] for answer in answers]


def _assert_same_while_packets_are_lost(world: World, cable: TunCable, expected: list[str]) -> None:
    """Few packets carry an answer: answers are repeated until enough of them were lost."""
    cable.delay, cable.loss, n_lost = SLOW, LOSSY, cable.n_lost
    while cable.n_lost < n_lost + MANY_LOST:
        assert _answers(world) == expected


def test_peers_answer_the_same_over_a_bad_cable(peers: World, cable: TunCable) -> None:
    assert eventually(lambda: peers.answer().status_code == 200)
    expected = _answers(peers)
    _assert_same_while_packets_are_lost(peers, cable, expected)
    pulled = peers.post("/api/pull", model="slow", stream=False)
    assert pulled.json() == {"status": "success"}


def test_a_ray_node_answers_the_same_over_a_bad_cable(cluster: World, cable: TunCable) -> None:
    assert cluster.has("node"), cluster.log
    cluster.load("node")
    expected = _answers(cluster)
    _assert_same_while_packets_are_lost(cluster, cable, expected)
    assert cluster.places() == {"node"}


@pytest.mark.parametrize(
    "loss", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)], ids=["no way", "no way there", "no way back"]
)
def test_a_partition_gives_no_request_two_answers(
    cluster: World, node: psutil.Popen, cable: TunCable, loss: tuple[float, float]
) -> None:
    """Streams end with one error; requests that wait are answered once, by another machine."""
    assert cluster.has("node"), cluster.log
    assert cluster.unload()
    cluster.load("node")
    runners = runners_below(node)
    with ThreadPoolExecutor(2) as threads, cluster.streams(SLOTS) as streams:
        waiting = [threads.submit(_lines, cluster) for _ in range(2)]
        assert eventually(lambda: len(cluster.running()) == SLOTS + 2)
        cable.loss = loss
        assert_each_has_one_error(streams, "node")
        answers = [each.result(timeout=60) for each in waiting]
    # The machine that was cut off ends what it computes before it can be reached again.
    assert psutil.wait_procs(runners, timeout=20)[1] == []
    cable.loss = PERFECT
    for answer in answers:
        assert [line["done"] for line in answer] == [False] * (len(answer) - 1) + [True]
    assert cluster.places() == {"local"}
    assert cluster.has("node"), cluster.log


def _lines(world: World) -> list[dict[str, object]]:
    return [dict(line) for line in world.stream(options={"num_predict": 20, "num_ctx": 1024})]
