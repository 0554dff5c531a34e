"""Streaming replies: events as JSON lines or server-sent events, or collected into one object.

The first event is awaited before any header is sent, so that a request that fails early gets an
error status; but not for longer than the interval of heartbeats, which keep proxies and clients
from giving up. A later failure is sent as the last event, in the format of the API.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runners.host.errors import ShuttingDown
from server.errors import RateLimited, RequestCancelled, explain
from server.http.drain import was_aborted
from server.http.envelopes import Envelope, native_envelope
from server.http.heartbeats import Heartbeats, heartbeat_seconds
from server.http.json_encoding import encode
from server.request_record import current

JSON_TYPE = "application/json; charset=utf-8"
BARE_JSON_TYPE = "application/json"
LINES_TYPE = "application/x-ndjson"
_RETRY_STATUSES = (429, 503)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Single(Generic[_T]):
    """An event that is the whole reply: one JSON object even for a streaming request."""

    value: _T


Events = AsyncGenerator[_T | Single[_T], None]
"""Events of a service: pieces of an answer, or one `Single` and nothing else."""


def json_response(value: object, status: int = 200, media_type: str = JSON_TYPE) -> Response:
    """Return one JSON object."""
    return raw_json_response(encode(value), status, media_type)


def raw_json_response(data: bytes, status: int = 200, media_type: str = JSON_TYPE) -> Response:
    """Return one JSON object that is already encoded."""
    return Response(data, status, headers={"content-type": media_type})


def error_response(
    error: BaseException, media_type: str = JSON_TYPE, envelope: Envelope = native_envelope
) -> Response:
    """Return the error object of `error`, with its status."""
    explanation = explain(error)
    response = json_response(envelope(explanation), explanation.status, media_type)
    if explanation.status in _RETRY_STATUSES:
        seconds = math.ceil(error.retry_after) if isinstance(error, RateLimited) else 1
        response.headers["retry-after"] = str(max(1, seconds))
    elif explanation.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


class Framing(Protocol):
    """The stream format of one API, its errors included."""

    headers: ClassVar[tuple[tuple[bytes, bytes], ...]]
    """Headers of a stream, its content type among them."""
    end: bytes
    """Bytes that close a stream that did not fail."""

    def frame(self, event: object) -> bytes:
        """Encode an event of a stream."""
        ...

    @property
    def heartbeat_seconds(self) -> float | None:
        """The interval of heartbeats; None is the server's."""
        return None

    async def heartbeat(self) -> bytes:
        """Return bytes that clients ignore, for a stream that is silent."""
        ...

    def failure(self, error: Exception) -> bytes:
        """Return the bytes that end a stream with an error."""
        ...

    def refusal(self, error: BaseException) -> Response:
        """Return the whole reply to a request that failed before anything was sent."""
        ...


class JSONLines(Framing):
    """The native API: a line of JSON for each event; an error is a line with `error`."""

    headers = ((b"content-type", LINES_TYPE.encode()), (b"x-accel-buffering", b"no"))
    end = b""

    def frame(self, event: object) -> bytes:
        """Encode one line."""
        return encode(event) + b"\n"

    @property
    def heartbeat_seconds(self) -> float | None:
        """Never: clients read each line as an event."""
        return math.inf

    async def heartbeat(self) -> bytes:
        """Return nothing."""
        return b""

    def failure(self, error: Exception) -> bytes:
        """Return the line that ends a failed stream."""
        return self.frame({"error": explain(error).text})

    def refusal(self, error: BaseException) -> Response:
        """Return an error object."""
        return error_response(error, BARE_JSON_TYPE)


class EventReply(Response, Generic[_T]):
    """The reply to one request, made of the events of a service.

    With `stream`, each event is sent at once in the format `framing`; otherwise `fold` makes one
    object of them all, or the response itself where that is not JSON. The iterator is closed as
    soon as the client disconnects, and in any case before the reply ends. Sending an event needs
    neither a task nor a queue. A reply that is cancelled by the shutdown of the server or by an
    operator ends with an error.
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
        """Send the reply; stops when the client disconnects."""
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(self._answer(scope, receive, send))
            current().cancel = answer.cancel
            watch = tasks.create_task(cancel_on_disconnect(receive, answer))
            answer.add_done_callback(lambda _: watch.cancel())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            framing = self._framing or JSONLines()
            if self._stream:
                response = await self._framed(framing, scope, send)
            else:
                response = await self._whole(scope)
        finally:
            await self._events.aclose()
        if response is not None:
            await response(scope, receive, send)

    async def _whole(self, scope: Scope) -> Response:
        pieces: list[_T] = []
        try:
            async for event in self._events:
                if isinstance(event, Single):
                    return json_response(event.value, media_type=self._object_type)
                pieces.append(event)
        except (Exception, asyncio.CancelledError) as e:
            error = reported(e, scope)
            if self._framing is not None:
                return self._framing.refusal(error)
            return error_response(error, self._object_type)
        reply = self._fold(pieces)
        if isinstance(reply, Response):
            return reply
        return json_response(reply, media_type=self._object_type)

    async def _framed(self, framing: Framing, scope: Scope, send: Send) -> Response | None:
        """Send the stream, or return the reply when the first event is an error or a `Single`."""
        with Heartbeats(framing, send, heartbeat_seconds(scope)) as stream:
            try:
                first = await anext(self._events)
            except (Exception, asyncio.CancelledError) as e:
                error = reported(e, scope)
                if not await stream.has_begun():
                    return framing.refusal(error)
                await stream.end(framing.failure(error))
                return None
            if isinstance(first, Single):
                if not await stream.has_begun():
                    return json_response(first.value, media_type=self._object_type)
                await stream.end(framing.frame(first.value))
                return None
            await stream.begin()
            await stream.send(framing.frame(first))
            try:
                async for event in self._events:
                    await stream.send(framing.frame(event))
                closing = framing.end
            except (Exception, asyncio.CancelledError) as e:
                closing = framing.failure(reported(e, scope))
            await stream.end(closing)
        return None


def reported(error: Exception | asyncio.CancelledError, scope: Scope) -> Exception:
    """Return the error that a client is told; raises a cancellation because the client is gone."""
    if isinstance(error, Exception):
        return error
    if was_aborted(scope):
        return ShuttingDown()
    if current().is_cancelled:
        return RequestCancelled()
    raise error


async def cancel_on_disconnect(receive: Receive, answer: "asyncio.Task[None]") -> None:
    """Cancel the task that answers a request once its client is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
    answer.cancel()
