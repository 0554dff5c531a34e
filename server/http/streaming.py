"""Replies made of events: one object, or a stream that can still fail.

The first event is awaited before any header is sent, so that a request that fails early has the
status it deserves. What fails later is told in the stream, in the way of its API.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from server.errors import explain
from server.http.envelopes import Envelope, native_envelope
from server.http.json_encoding import encode

JSON_TYPE = "application/json; charset=utf-8"
BARE_JSON_TYPE = "application/json"
LINES_TYPE = "application/x-ndjson"
_TRY_AGAIN = (429, 503)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Single(Generic[_T]):
    """An event that is the whole reply: a plain JSON object even to a client that streams."""

    value: _T


Events = AsyncGenerator[_T | Single[_T], None]
"""What a service yields: pieces of an answer, or one `Single` and nothing else."""


def json_response(value: object, status: int = 200, media_type: str = JSON_TYPE) -> Response:
    """Return one JSON object."""
    return raw_json_response(encode(value), status, media_type)


def raw_json_response(data: bytes, status: int = 200, media_type: str = JSON_TYPE) -> Response:
    """Return one JSON object that is encoded already."""
    return Response(data, status, headers={"content-type": media_type})


def error_response(
    error: BaseException, media_type: str = JSON_TYPE, envelope: Envelope = native_envelope
) -> Response:
    """Return the object that tells a client of `error`."""
    explanation = explain(error)
    response = json_response(envelope(explanation), explanation.status, media_type)
    if explanation.status in _TRY_AGAIN:
        response.headers["retry-after"] = "1"
    return response


class Framing(Protocol):
    """How one API puts events on the wire and tells errors."""

    headers: ClassVar[tuple[tuple[bytes, bytes], ...]]
    """Of a stream, its content type among them."""
    end: bytes
    """What closes a stream that did not fail."""

    def frame(self, event: object) -> bytes:
        """Return an event of a stream."""
        ...

    def failure(self, error: Exception) -> bytes:
        """Return what tells of an error in the middle of a stream."""
        ...

    def refusal(self, error: BaseException) -> Response:
        """Return the whole reply to a request that failed before anything was sent."""
        ...


class JSONLines(Framing):
    """The native API: a line of JSON for each event, and one more with an `error`."""

    headers = ((b"content-type", LINES_TYPE.encode()),)
    end = b""

    def frame(self, event: object) -> bytes:
        """Return a line."""
        return encode(event) + b"\n"

    def failure(self, error: Exception) -> bytes:
        """Return the line that ends a stream which failed."""
        return self.frame({"error": explain(error).text})

    def refusal(self, error: BaseException) -> Response:
        """Return an object with an `error`."""
        return error_response(error, BARE_JSON_TYPE)


class EventReply(Response, Generic[_T]):
    """The reply that the events of one request make.

    With `stream`, each event is sent at once, framed as its API wants it; else `fold` makes one
    object of them all, or the response itself where that is no JSON. The iterator is closed as
    soon as the client is gone, whatever it is waiting for, and in any case before the reply ends.
    Sending an event costs no task and no queue.
    """

    def __init__(
        self,
        events: Events[_T],
        *,
        stream: bool,
        fold: Callable[[list[_T]], object],
        framing: Framing | None = None,
        object_type: str = JSON_TYPE,
    ) -> None:
        super().__init__()
        self._events, self._stream, self._fold = events, stream, fold
        self._framing, self._object_type = framing, object_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; ends early when the client leaves."""
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(self._answer(scope, receive, send))
            watch = tasks.create_task(_cancel_when_gone(receive, answer))
            answer.add_done_callback(lambda _: watch.cancel())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            framing = self._framing or JSONLines()
            response = await (self._framed(framing, send) if self._stream else self._whole())
        finally:
            await self._events.aclose()
        if response is not None:
            await response(scope, receive, send)

    async def _whole(self) -> Response:
        pieces: list[_T] = []
        try:
            async for event in self._events:
                if isinstance(event, Single):
                    return json_response(event.value, media_type=self._object_type)
                pieces.append(event)
        except Exception as e:
            if self._framing is not None:
                return self._framing.refusal(e)
            return error_response(e, self._object_type)
        reply = self._fold(pieces)
        if isinstance(reply, Response):
            return reply
        return json_response(reply, media_type=self._object_type)

    async def _framed(self, framing: Framing, send: Send) -> Response | None:
        """Send the stream; returns the reply instead when it turns out to be one object."""
        try:
            first = await anext(self._events)
        except Exception as e:
            return framing.refusal(e)
        if isinstance(first, Single):
            return json_response(first.value, media_type=self._object_type)
        headers = list(framing.headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(_part(framing.frame(first)))
        try:
            async for event in self._events:
                await send(_part(framing.frame(event)))
            closing = framing.end
        except Exception as e:
            closing = framing.failure(e)
        await send({"type": "http.response.body", "body": closing, "more_body": False})
        return None


def _part(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _cancel_when_gone(receive: Receive, answer: "asyncio.Task[None]") -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    answer.cancel()
