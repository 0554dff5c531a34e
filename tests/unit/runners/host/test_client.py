"""What the client says to a runner, seen from the other end of its socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest

from runners.host.client import RunnerClient
from runners.host.connection import Connection
from runners.host.errors import RequestFailed, RunnerDied
from runners.protocol.framing import FrameBuffer, decode_command, encode
from runners.protocol.messages import (
    Cancel,
    Chunk,
    Command,
    Done,
    Event,
    Failed,
    FailureCode,
    Generate,
    Loading,
    Step,
    StopReason,
)
from runners.protocol.tokens import Tokenize, Tokens
from tests.support.fake_runner import done

pytestmark = pytest.mark.anyio


@dataclass
class Wire:
    """A client and the runner's end of its socket."""

    client: RunnerClient
    connection: Connection
    sock: socket.socket
    setup: list[object]

    async def send(self, *events: Event) -> None:
        await self.write(b"".join(encode(event) for event in events))

    async def write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)
        await asyncio.sleep(0.01)

    async def received(self) -> list[Command]:
        await asyncio.sleep(0.01)
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return []
        return [decode_command(body) for body in FrameBuffer().feed(data)]


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    setup: list[object] = []
    connection = Connection(setup.append)
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: connection, sock=ours)
    with theirs:
        yield Wire(RunnerClient(connection, loop.create_future()), connection, theirs, setup)
        connection.close()
        await connection.closed


async def test_every_request_has_an_id_of_its_own() -> None:
    async with wire() as w:
        calls = [asyncio.create_task(w.client.tokenize(text)) for text in ("a", "b")]
        first, second = await w.received()
        assert (first, second) == (Tokenize(id=1, text="a"), Tokenize(id=2, text="b"))
        await w.send(Tokens(2, (20,)), Tokens(1, (10,)))
        assert await asyncio.gather(*calls) == [(10,), (20,)]


async def test_finished_request_is_not_cancelled() -> None:
    async with wire() as w:
        task = asyncio.create_task(collect(w.client))
        await w.received()
        await w.send(Step((Chunk(1, "a"), done(1, StopReason.STOP, 1))))
        events = await task
        assert [type(event) for event in events] == [Chunk, Done]
        assert await w.received() == []
        assert w.connection.n_pending == 0


async def test_iterator_that_is_closed_early_cancels_exactly_once() -> None:
    async with wire() as w:
        async with aclosing(w.client.generate(Generate(id=0, prompt="x"))) as stream:
            first = asyncio.create_task(anext(stream))
            await w.received()
            await w.send(Step((Chunk(1, "a"),)))
            assert await first == Chunk(1, "a")
        await stream.aclose()
        assert await w.received() == [Cancel(1)]
        await w.send(Step((Chunk(1, "late"), done(1, StopReason.CANCELLED, 1))))
        assert w.connection.n_pending == 0


async def test_iterator_that_was_never_started_sends_nothing() -> None:
    async with wire() as w:
        await w.client.generate(Generate(id=0, prompt="x")).aclose()
        assert await w.received() == []


async def test_cancelled_call_cancels_in_the_runner() -> None:
    async with wire() as w:
        task = asyncio.create_task(w.client.embed(["x"]))
        await w.received()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await w.received() == [Cancel(1)]


async def test_refusal_carries_its_code_and_numbers_and_needs_no_cancel() -> None:
    async with wire() as w:
        task = asyncio.create_task(collect(w.client))
        await w.received()
        refusal = Failed(id=1, code=FailureCode.PROMPT_TOO_LONG, n_tokens=9, n_ctx=4)
        await w.send(Step((refusal,)))
        with pytest.raises(RequestFailed) as failed:
            await task
        assert (failed.value.code, failed.value.n_tokens, failed.value.n_ctx) == (
            FailureCode.PROMPT_TOO_LONG,
            9,
            4,
        )
        assert await w.received() == []


async def test_frames_may_arrive_in_any_pieces() -> None:
    async with wire() as w:
        task = asyncio.create_task(collect(w.client))
        await w.received()
        frames = encode(Step((Chunk(1, "ä"),))) + encode(Step((done(1, StopReason.STOP, 1),)))
        for position in range(len(frames)):
            await asyncio.get_running_loop().sock_sendall(w.sock, frames[position : position + 1])
            await asyncio.sleep(0)
        assert [event.text for event in await task if isinstance(event, Chunk)] == ["ä"]


async def test_start_up_events_go_to_the_owner_of_the_process() -> None:
    async with wire() as w:
        await w.send(Loading(0.5))
        assert w.setup == [Loading(0.5)]


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff junk", b"\x03\x00\x00\x00abc"])
async def test_runner_that_sends_nonsense_is_hung_up_on(junk: bytes) -> None:
    async with wire() as w:
        await w.write(junk)
        await asyncio.wait_for(w.connection.closed, 5)


async def test_requests_after_the_death_fail_at_once() -> None:
    async with wire() as w:
        w.connection.fail(lambda: RunnerDied("gone"))
        with pytest.raises(RunnerDied, match="gone"):
            await w.client.tokenize("x")
        with pytest.raises(RunnerDied, match="gone"):
            await collect(w.client)


async def collect(client: RunnerClient) -> list[Chunk | Done]:
    return [event async for event in client.generate(Generate(id=0, prompt="x"))]
