"""Streaming replies: correct status, always an end, and no work after a client disconnects."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from runners.host.errors import QueueFull, RunnerDied
from server.errors import BadRequest, NotFound
from server.http.drain import Drain
from server.http.middleware.draining import DrainMiddleware
from server.http.streaming import EventReply, Single, error_response, json_response
from tests.support.asgi import Client, ask, http_scope

pytestmark = pytest.mark.anyio

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
LINES = "application/x-ndjson"
DIED = RunnerDied("it was killed")
DIED_LINE = {"error": "an error was encountered while running the model: it was killed"}


class Piece(msgspec.Struct):
    """What the service of these tests yields."""

    text: str


@dataclass
class Work:
    """A service's events: each step is yielded, raised or waited for; `closed` tells its end."""

    steps: list[Piece | Single[Piece] | Exception | asyncio.Event]
    taken: int = 0
    closed: bool = False
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    async def events(self) -> AsyncGenerator[Piece | Single[Piece], None]:
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    self.waiting.set()
                    await step.wait()
                else:
                    self.taken += 1
                    yield step
        finally:
            await asyncio.sleep(0)
            self.closed = True


def joined(pieces: list[Piece]) -> Piece:
    return Piece("".join(piece.text for piece in pieces))


def reply(work: Work, *, stream: bool) -> EventReply[Piece]:
    return EventReply(work.events(), stream=stream, fold=joined)


async def test_a_stream_is_a_line_for_each_event() -> None:
    work = Work([Piece("a"), Piece("<b>\n"), Piece("")])

    answer = await ask(reply(work, stream=True))

    assert (answer.status, answer.get("content-type")) == (200, LINES)
    assert answer.body == b'{"text":"a"}\n{"text":"\\u003cb\\u003e\\n"}\n{"text":""}\n'
    assert work.closed


async def test_a_line_is_sent_as_soon_as_its_event_arrives() -> None:
    go_on = asyncio.Event()
    work, client = Work([Piece("a"), go_on, Piece("b")]), Client()
    task = asyncio.create_task(reply(work, stream=True)(http_scope(), client.receive, client.send))
    await work.waiting.wait()

    assert client.bodies == [b'{"text":"a"}\n']

    go_on.set()
    await task
    assert client.bodies == [b'{"text":"a"}\n', b'{"text":"b"}\n']
    assert client.is_answered


async def test_an_answer_in_one_piece_is_the_stream_joined() -> None:
    work = Work([Piece("a"), Piece("b")])

    answer = await ask(reply(work, stream=False))

    assert (answer.status, answer.get("content-type")) == (200, JSON)
    assert answer.get("content-length") == str(len(answer.body))
    assert answer.body == b'{"text":"ab"}'
    assert work.closed


@pytest.mark.parametrize("stream", [True, False])
async def test_an_event_that_is_the_whole_reply_is_one_plain_object(stream: bool) -> None:
    """Clients read the answer to a load or unload so even when they stream."""
    work = Work([Single(Piece("loaded"))])

    answer = await ask(reply(work, stream=stream))

    assert (answer.status, answer.get("content-type")) == (200, JSON)
    assert answer.body == b'{"text":"loaded"}'
    assert work.closed


@pytest.mark.parametrize(("stream", "content_type"), [(True, BARE_JSON), (False, JSON)])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("model 'a' not found"), 404),
        (BadRequest("no"), 400),
        (DIED, 500),
        (OSError(), 500),
    ],
    ids=["not found", "bad request", "died", "unforeseen"],
)
async def test_an_error_before_the_first_event_has_its_own_status(
    stream: bool, content_type: str, error: Exception, status: int
) -> None:
    work = Work([error])

    answer = await ask(reply(work, stream=stream))

    assert (answer.status, answer.get("content-type")) == (status, content_type)
    assert list(json.loads(answer.body)) == ["error"]
    assert work.closed


async def test_an_error_after_the_first_event_is_the_last_line() -> None:
    work = Work([Piece("a"), DIED])

    answer = await ask(reply(work, stream=True))

    assert answer.status == 200
    assert [json.loads(line) for line in answer.body.splitlines()] == [{"text": "a"}, DIED_LINE]
    assert answer.body.endswith(b"\n")
    assert work.closed


async def test_an_error_of_an_answer_in_one_piece_replaces_its_text() -> None:
    answer = await ask(reply(Work([Piece("a"), DIED]), stream=False))

    assert answer.status == 500
    assert json.loads(answer.body) == DIED_LINE


async def test_an_event_that_cannot_be_written_is_an_error_line_too() -> None:
    class Odd:
        pass

    async def events() -> AsyncGenerator[object, None]:
        yield Piece("a")
        yield Odd()

    answer = await ask(EventReply(events(), stream=True, fold=lambda all_of_them: all_of_them[0]))

    assert json.loads(answer.body.splitlines()[-1]) == {"error": "internal server error"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("before", [[], [Piece("a")]], ids=["no event yet", "amid the events"])
async def test_a_disconnect_ends_the_work_wherever_it_is(stream: bool, before: list[Piece]) -> None:
    never = asyncio.Event()
    work, client = Work([*before, never, Piece("too late")]), Client()
    task = asyncio.create_task(
        reply(work, stream=stream)(http_scope(), client.receive, client.send)
    )
    await work.waiting.wait()

    client.gone.set()
    await task

    assert work.closed
    assert work.taken == len(before)
    assert not client.is_answered


async def test_a_client_that_reads_slowly_slows_the_work() -> None:
    """An answer must not pile up in memory."""
    work, client = Work([Piece(text) for text in "abc"]), Client()
    may_read = asyncio.Event()

    async def send(message: object) -> None:
        await may_read.wait()
        await client.send(message)  # type: ignore[arg-type]

    task = asyncio.create_task(reply(work, stream=True)(http_scope(), client.receive, send))
    for _ in range(20):
        await asyncio.sleep(0)
    assert work.taken == 1

    may_read.set()
    await task
    assert work.taken == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_the_work_is_closed_before_the_reply_ends(stream: bool) -> None:
    """The next request of the same client finds the lease given back."""
    work, client = Work([Piece("a")]), Client()
    seen: list[bool] = []

    async def send(message: object) -> None:
        seen.append(work.closed)
        await client.send(message)  # type: ignore[arg-type]

    await reply(work, stream=stream)(http_scope(), client.receive, send)

    assert seen[-1] is True


@pytest.mark.parametrize(
    "make",
    [
        lambda: error_response(QueueFull(5)),
        lambda: reply(Work([QueueFull(5)]), stream=True),
        lambda: reply(Work([QueueFull(5)]), stream=False),
    ],
    ids=["alone", "stream", "one piece"],
)
async def test_a_busy_server_sends_retry_after(make: Callable[[], EventReply[Piece]]) -> None:
    answer = await ask(make())

    assert (answer.status, answer.get("retry-after")) == (503, "1")


async def test_one_object_has_its_length_its_type_and_no_newline() -> None:
    answer = await ask(json_response({"é": "<"}))

    assert answer.body == '{"é":"\\u003c"}'.encode()
    assert answer.headers == (("content-type", JSON), ("content-length", str(len(answer.body))))


@pytest.mark.parametrize(
    ("steps", "stream", "status", "body"),
    [
        ([Piece("a")], True, 200, b'{"text":"a"}\n{"error":"the server is shutting down"}\n'),
        ([Piece("a")], False, 503, b'{"error":"the server is shutting down"}'),
        ([], True, 503, b'{"error":"the server is shutting down"}'),
    ],
    ids=["stream", "whole", "stream that has not begun"],
)
async def test_a_reply_that_the_shutdown_aborts_ends_with_an_error(
    steps: list[Piece | Single[Piece] | Exception | asyncio.Event],
    stream: bool,
    status: int,
    body: bytes,
) -> None:
    work, client, drain = Work([*steps, asyncio.Event()]), Client(), Drain()
    app = DrainMiddleware(reply(work, stream=stream), drain)
    task = asyncio.create_task(app(http_scope(), client.receive, client.send))
    await work.waiting.wait()

    drain.abort()
    await task

    assert (client.reply.status, client.reply.body) == (status, body)
    assert work.closed
