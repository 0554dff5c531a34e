"""Heartbeats of silent streams: they begin the stream, and stay out of the way of its parts."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace

import pytest
from starlette.types import Scope

from server.errors import BadRequest
from server.http.sse import ServerSentEvents
from server.http.streaming import EventReply, JSONLines, Single
from tests.support.asgi import Client, http_scope, until

pytestmark = pytest.mark.anyio

BEAT = b": keep-alive\n\n"
SSE = ServerSentEvents(lambda explanation: {"error": explanation.text})


def scope(seconds: float) -> Scope:
    state = SimpleNamespace(heartbeat_seconds=seconds)
    return {**http_scope(), "app": SimpleNamespace(state=state)}


class Silence:
    """Events of a service, each of which waits until the test lets it pass."""

    def __init__(self, *steps: object) -> None:
        self._steps = steps
        self.may_go_on = asyncio.Event()

    async def events(self) -> AsyncGenerator[object, None]:
        for step in self._steps:
            await self.may_go_on.wait()
            self.may_go_on.clear()
            if isinstance(step, Exception):
                raise step
            yield step


async def begun(silence: Silence, framing: object = SSE) -> tuple[Client, "asyncio.Task[None]"]:
    """Return a client that has received two heartbeats, and the reply in progress."""
    client = Client()
    reply = EventReply(
        silence.events(),
        stream=True,
        fold=lambda events: events,
        framing=framing,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(reply(scope(0.001), client.receive, client.send))
    await until(lambda: len(client.bodies) >= 2)
    return client, task


def without_beats(client: Client) -> list[bytes]:
    return [body for body in client.bodies if body != BEAT]


async def test_a_silent_stream_sends_its_head_and_heartbeats_before_the_first_event() -> None:
    silence = Silence("a", "b")
    client, task = await begun(silence)

    assert client.sent[0]["status"] == 200
    assert set(client.bodies) == {BEAT}

    silence.may_go_on.set()
    await until(lambda: bool(without_beats(client)))
    n_bodies = len(client.bodies)
    await until(lambda: len(client.bodies) > n_bodies)
    silence.may_go_on.set()
    await task

    assert without_beats(client) == [b'data: "a"\n\n', b'data: "b"\n\n']
    assert [message["type"] for message in client.sent].count("http.response.start") == 1
    assert client.is_answered


async def test_an_error_after_a_heartbeat_is_the_last_event() -> None:
    silence = Silence(BadRequest("no"))
    client, task = await begun(silence)

    silence.may_go_on.set()
    await task

    assert without_beats(client) == [b'data: {"error":"no"}\n\n']
    assert client.is_answered


async def test_an_event_that_is_the_whole_reply_is_the_only_one_after_a_heartbeat() -> None:
    silence = Silence(Single("loaded"))
    client, task = await begun(silence)

    silence.may_go_on.set()
    await task

    assert without_beats(client) == [b'data: "loaded"\n\n']


async def test_a_client_that_leaves_ends_the_heartbeats() -> None:
    client, task = await begun(Silence("a"))

    client.gone.set()
    await asyncio.wait([task])

    n_bodies = len(client.bodies)
    await asyncio.sleep(0.01)
    assert len(client.bodies) == n_bodies


class FailingHeartbeats(ServerSentEvents):
    """A format whose heartbeats fail from the third on."""

    n_beats = 0

    async def heartbeat(self) -> bytes:
        self.n_beats += 1
        if self.n_beats > 2:
            raise RuntimeError("no heartbeat")
        return BEAT


async def test_a_heartbeat_that_fails_does_not_harm_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silence = Silence("a")
    client, task = await begun(silence, FailingHeartbeats(lambda e: {"error": e.text}))
    await until(lambda: "a heartbeat could not be sent" in caplog.text)

    silence.may_go_on.set()
    await task

    assert without_beats(client) == [b'data: "a"\n\n']


async def test_lines_have_no_heartbeat_that_every_client_would_skip() -> None:
    silence, client = Silence("a"), Client()
    reply = EventReply(silence.events(), stream=True, fold=list, framing=JSONLines())
    task = asyncio.create_task(reply(scope(0.001), client.receive, client.send))
    await asyncio.sleep(0.01)
    assert client.sent == []

    silence.may_go_on.set()
    await task
    assert client.bodies == [b'"a"\n']
