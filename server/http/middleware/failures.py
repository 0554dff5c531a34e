"""Exceptions of routes become answers here, all by the one table."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.envelopes import envelope_of
from server.http.streaming import error_response

_log = logging.getLogger(__name__)


class FailureMiddleware:
    """Answers for a route that failed before it began to answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer for it if need be."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            return
        except Exception as e:
            if begun:
                _log.exception("a reply was cut off")
                raise
            reply = error_response(e, envelope=envelope_of(scope["path"]))
            await reply(scope, receive, send)
