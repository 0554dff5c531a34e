"""Send requests to this application's own routes, to be computed while nobody else needs it.

They pass none of the middleware that is about clients and connections, and their replies are not
streamed.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Scope

from server.access.control import AccessControl
from server.errors import Unauthorized
from server.http.envelopes import openai_envelope
from server.http.request_log import log_request, new_id
from server.http.streaming import error_response
from server.metrics.requests import RequestMetrics
from server.request_record import RequestRecord, begin

_METHOD = "POST"


class BackgroundReply(NamedTuple):
    """The reply to a request, and the request's id in the log."""

    status: int
    request_id: str
    body: bytes


class BackgroundRequests:
    """Sends requests to `app`, whose routes find `application` in their scope."""

    def __init__(
        self, app: ASGIApp, application: ASGIApp, metrics: RequestMetrics, access: AccessControl
    ) -> None:
        self._app, self._application = app, application
        self._metrics, self._access = metrics, access

    async def __call__(self, path: str, body: bytes, owner: str) -> BackgroundReply:
        """Return the reply to a POST of `body` on behalf of `owner`, which may be a key's id."""
        record = RequestRecord(id=new_id(), method=_METHOD, is_background=True)
        begin(record)
        scope = _scope(path, len(body), owner)
        scope["app"] = self._application
        exchange = _Exchange(body)
        try:
            await self._answer(scope, exchange, record, owner)
        finally:
            record.status = exchange.status
            route = getattr(scope.get("route"), "path", "")
            record.path = route or path
            self._metrics.add(record, route)
            self._access.add(record)
            log_request(record)
        return BackgroundReply(exchange.status, record.id, b"".join(exchange.parts))

    async def _answer(
        self, scope: Scope, exchange: "_Exchange", record: RequestRecord, owner: str
    ) -> None:
        try:
            known = self._access.keys.by_id(owner)
        except Unauthorized as e:
            refusal = error_response(e, envelope=openai_envelope)
            await refusal(scope, exchange.receive, exchange.send)
        else:
            if known is not None:
                record.caller, record.charge = known.caller, self._access.charge(known)
            await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """The client's side of one request, which never hangs up."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 0
        self.parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await asyncio.Future[Message]()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))


def _scope(path: str, length: int, owner: str) -> Scope:
    headers: Sequence[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(length).encode()),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": _METHOD,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "state": {"owner": owner},
    }
