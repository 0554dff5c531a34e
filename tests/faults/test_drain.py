"""A server that is asked to close finishes what it has begun and begins nothing more."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live_server import LiveServer, live_server
from tests.support.streams import generating

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path, slow_gguf: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path, PADDOCK_GRACE_PERIOD="60s") as running:
        running.create("slow", slow_gguf)
        yield running


async def test_a_running_stream_finishes_and_new_requests_are_refused(server: LiveServer) -> None:
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as http,
        generating(http, "slow", "Once", num_predict=1500, temperature=1) as lines,
    ):
        await anext(lines)
        server.terminate()
        refused = await _first_refusal(http)
        last = [line async for line in lines][-1]

    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert refused.json()["error"]
    assert last["done"]
    assert server.process.wait(30) == 0


async def test_a_second_signal_ends_the_streams_too(server: LiveServer) -> None:
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as http,
        generating(http, "slow", "Once", num_predict=20_000, temperature=1) as lines,
    ):
        await anext(lines)
        server.terminate()
        await _first_refusal(http)

        server.terminate()

        server.process.wait(30)


async def _first_refusal(http: httpx.AsyncClient) -> httpx.Response:
    """Ask until the signal has arrived; a request that came before it is still answered."""
    while True:
        answer = await http.post("/api/generate", json={"model": "slow", "stream": False})
        if answer.status_code != httpx.codes.OK:
            return answer
