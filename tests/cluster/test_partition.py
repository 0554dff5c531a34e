"""Peers on hosts of their own, real models, and a network that breaks in the middle of answers."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.cluster.namespaces import Hosts, two_hosts
from tests.support.live_server import LiveServer, eventually, live_server

PORT = 11434
STREAMS = 8
NOTICED_SECONDS = 20.0
"""Two health checks of at most 3 s each, 5 and 1 s apart, and room for a busy machine."""
ENDLESS = {"temperature": 1.0, "num_predict": 100_000, "num_ctx": 1024, "ignore_eos": True}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with two_hosts() as made:
        yield made


@pytest.fixture(scope="module")
def servers(
    hosts: Hosts, tmp_path_factory: pytest.TempPathFactory, slow_gguf: Path
) -> Iterator[tuple[LiveServer, LiveServer]]:
    """A front server on the first host, and its peer with the model `slow` on the second."""
    address = f"{hosts.addresses[1]}:{PORT}"
    with ExitStack() as stack:
        with hosts.inside(1):
            directory = tmp_path_factory.mktemp("peer")
            settings = {"OLLAMA_HOST": address, "PADDOCK_INSECURE": "1", "PADDOCK_SHARE": "1"}
            peer = stack.enter_context(live_server(directory, **settings))
            peer.create("slow", slow_gguf)
        with hosts.inside(0):
            directory = tmp_path_factory.mktemp("front")
            front = stack.enter_context(
                live_server(directory, PADDOCK_PEERS=f"http://{address}",
                            PADDOCK_REGISTRY=f"http://{address}")
            )  # fmt: skip
        yield front, peer


def _stream(hosts: Hosts, front: LiveServer) -> list[str]:
    """Return all lines of an answer, which may take as long as it does."""
    body = {"model": "slow", "prompt": "Once", "options": ENDLESS}
    with (
        hosts.inside(0),
        httpx.Client(base_url=front.url, timeout=60) as http,
        http.stream("POST", "/api/generate", json=body) as answer,
    ):
        return list(answer.iter_lines())


def _answers(hosts: Hosts, front: LiveServer) -> bool:
    body = {"model": "slow", "prompt": "Once", "options": {"num_predict": 3}, "stream": False}
    with hosts.inside(0):
        answer = httpx.post(f"{front.url}/api/generate", json=body, timeout=60)
        return answer.status_code == 200


def test_streams_end_with_one_error_and_the_peer_is_used_again_after_a_partition(
    hosts: Hosts, servers: tuple[LiveServer, LiveServer]
) -> None:
    front, peer = servers
    assert eventually(lambda: _answers(hosts, front))
    for _ in range(2):
        with ThreadPoolExecutor(STREAMS) as threads:
            streams = [threads.submit(_stream, hosts, front) for _ in range(STREAMS)]
            assert eventually(lambda: _n_running(hosts, peer) == STREAMS), _queue(hosts, peer)
            hosts.set_cable(plugged=False)
            began = time.monotonic()
            try:
                lines = [stream.result() for stream in streams]
            finally:
                hosts.set_cable(plugged=True)
        assert time.monotonic() - began < NOTICED_SECONDS
        for answer in lines:
            assert ["error" in json.loads(line) for line in answer] == (
                [False] * (len(answer) - 1) + [True]
            )
        assert eventually(lambda: _answers(hosts, front))
        # The peer computes nothing more for clients that it could not be told about.
        assert eventually(lambda: _n_running(hosts, peer) == 0, seconds=120)


def _n_running(hosts: Hosts, peer: LiveServer) -> int:
    return len(_queue(hosts, peer))


def _queue(hosts: Hosts, peer: LiveServer) -> list[object]:
    with hosts.inside(1):
        return list(httpx.get(f"{peer.url}/api/queue", timeout=60).json()["requests"])


def test_a_pull_goes_on_after_a_partition(
    hosts: Hosts, servers: tuple[LiveServer, LiveServer]
) -> None:
    front, _ = servers
    hosts.set_cable(plugged=False)
    with ThreadPoolExecutor(1) as threads:
        pull = threads.submit(_pull, hosts, front)
        time.sleep(1.0)
        hosts.set_cable(plugged=True)
        assert pull.result() == {"status": "success"}


def _pull(hosts: Hosts, front: LiveServer) -> object:
    with hosts.inside(0):
        answer = httpx.post(
            f"{front.url}/api/pull", json={"model": "slow", "stream": False}, timeout=120
        )
        return answer.json()
