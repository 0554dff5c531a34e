"""A runner that dies takes its own requests with it and nothing else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.live_server import LiveServer, eventually, live_server
from tests.support.streams import Line, generating, text_of

STREAMS = 8
ENDLESS = {"temperature": 1.0, "num_predict": 20_000, "num_ctx": 1024}

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path, slow_gguf: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path) as running:
        running.create("slow", slow_gguf)
        yield running


async def test_every_stream_of_a_killed_runner_ends_with_one_error_and_the_next_is_served(
    server: LiveServer,
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        answers = await _killed_while_streaming(server, http)
        served = await text_of(http, "slow", "Hello", num_predict=4, temperature=0)

    for lines in answers:
        assert ["error" in line for line in lines] == [False] * (len(lines) - 1) + [True]
    assert served


async def test_killed_runners_leave_no_processes_and_no_open_files_behind(
    server: LiveServer,
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        await _killed_while_streaming(server, http)
        await text_of(http, "slow", "Hello", num_predict=4)
    assert eventually(lambda: len(server.runners()) == 2)
    open_files = server.process.num_fds()

    for _ in range(3):
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            await _killed_while_streaming(server, http)
            await text_of(http, "slow", "Hello", num_predict=4)

    assert eventually(lambda: len(server.runners()) == 2), "one serves, one stands by"
    assert eventually(lambda: server.process.num_fds() <= open_files)


async def test_runners_end_by_themselves_when_the_server_is_killed(server: LiveServer) -> None:
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as http,
        generating(http, "slow", "Once", **ENDLESS) as lines,
    ):
        await anext(lines)
        runners = server.runners()
        server.process.kill()

        with pytest.raises(httpx.TransportError):
            _ = [line async for line in lines]

    assert runners
    assert psutil.wait_procs(runners, timeout=30)[1] == []


async def _killed_while_streaming(server: LiveServer, http: httpx.AsyncClient) -> list[list[Line]]:
    """Kill all runners once every one of the streams has begun; return what each stream said."""
    begun = asyncio.Barrier(STREAMS + 1)

    async def stream() -> list[Line]:
        async with generating(http, "slow", "Once", **ENDLESS) as lines:
            first = await anext(lines)
            await begun.wait()
            return [first, *[line async for line in lines]]

    async with asyncio.TaskGroup() as group:
        streams = [group.create_task(stream()) for _ in range(STREAMS)]
        await begun.wait()
        for runner in server.runners():
            runner.kill()
    return [stream.result() for stream in streams]
