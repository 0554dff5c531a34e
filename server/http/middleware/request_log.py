"""Request log: an id, one log line and an entry in the metrics for each request."""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access.control import AccessControl
from server.http.request_log import log_request, new_id
from server.metrics.requests import RequestMetrics
from server.request_record import RequestRecord, begin
from server.running_requests import RunningRequests

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADERS = (b"x-request-id",)
# Clients of Anthropic's API read the id from a header of another name.
_ANTHROPIC_HEADERS = (*_HEADERS, b"request-id")
_MAX_BODY = 64 << 10
"""Bytes of a body that are logged where bodies are."""


class RequestTracing(Protocol):
    """Takes the requests that have ended; see `server.tracing`."""

    def add(
        self, record: RequestRecord, route: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> None: ...


class RequestLogMiddleware:
    """Gives each request an id, sends it as X-Request-Id, and when it has ended logs and counts it.

    A client's own X-Request-Id is used if it is at most 128 letters, digits and `._:-`. With
    `logs_bodies` the beginnings of the request's and the reply's body are logged too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        requests: RunningRequests | None = None,
        metrics: RequestMetrics | None = None,
        access: AccessControl | None = None,
        logs_bodies: bool = False,
        tracing: RequestTracing | None = None,
    ) -> None:
        self._app, self._metrics, self._logs_bodies = app, metrics, logs_bodies
        self._requests, self._access = requests or RunningRequests(), access
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(
            id=_id(Headers(scope=scope).get("x-request-id", "")),
            method=scope["method"],
            path=scope["path"],
            client=scope["client"][0] if scope.get("client") else "",
        )
        begin(record)
        is_anthropic = scope["path"].startswith("/v1/messages")
        reply = _Reply(record, send, _ANTHROPIC_HEADERS if is_anthropic else _HEADERS)
        bodies = _Bodies() if self._logs_bodies else None
        if bodies is not None:
            receive, reply.bodies = bodies.receiving(receive), bodies
        self._requests.begin(record)
        try:
            await self._app(scope, receive, reply.send)
        finally:
            self._requests.end(record)
            if not reply.is_complete:
                record.end = "disconnected"
            route = getattr(scope.get("route"), "path", "")
            record.path = route or scope["path"]
            if self._metrics is not None:
                self._metrics.add(record, route)
            if self._access is not None:
                self._access.add(record)
            if self._tracing is not None:
                self._tracing.add(record, route, scope["headers"])
            log_request(record, bodies.fields() if bodies is not None else None)


class _Reply:
    """The messages of a reply on their way to the client."""

    def __init__(self, record: RequestRecord, send: Send, id_headers: Sequence[bytes]) -> None:
        self._record, self._send = record, send
        self._headers = [(name, record.id.encode("latin-1")) for name in id_headers]
        self.bodies: _Bodies | None = None
        self.is_complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            extra = (*self._headers, *self._record.reply_headers)
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        else:
            self.is_complete = not message.get("more_body", False)
            if self.bodies is not None:
                self.bodies.add_reply(message.get("body", b""))
        await self._send(message)


class _Bodies:
    """The beginnings of both bodies of a request."""

    def __init__(self) -> None:
        self._request, self._reply = bytearray(), bytearray()

    def receiving(self, receive: Receive) -> Receive:
        """Return a `receive` that notes what passes."""

        async def noting() -> Message:
            message = await receive()
            self._request += message.get("body", b"")[: _MAX_BODY - len(self._request)]
            return message

        return noting

    def add_reply(self, data: bytes) -> None:
        """Note a piece of the reply."""
        self._reply += data[: _MAX_BODY - len(self._reply)]

    def fields(self) -> dict[str, str]:
        """Return both as texts."""
        return {
            "request_body": self._request.decode(errors="replace"),
            "reply_body": self._reply.decode(errors="replace"),
        }


def _id(client_id: str) -> str:
    return client_id if _SANE_ID.fullmatch(client_id) else new_id()
