"""Graceful shutdown: running requests may finish, new ones get 503."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from runners.host.errors import ShuttingDown
from server.http.envelopes import envelope_of
from server.http.streaming import error_response


@dataclass(slots=True)
class Drain:
    """Whether the server is closing, and the number of running requests."""

    is_closing: bool = False
    active: int = 0


class DrainMiddleware:
    """Counts requests; once the server is closing, answers new ones with 503."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app, self._drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._drain.is_closing:
            refusal = error_response(ShuttingDown(), envelope=envelope_of(scope["path"]))
            await refusal(scope, receive, send)
            return
        self._drain.active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._drain.active -= 1
