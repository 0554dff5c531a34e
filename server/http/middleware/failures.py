"""Exception handler: answer for a route that raised, by the table in `server.errors`."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.envelopes import envelope_for
from server.http.streaming import error_response

_log = logging.getLogger(__name__)


class FailureMiddleware:
    """Sends the error reply of a route that failed before it sent anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; if it fails, send the error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def mark_started(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, mark_started)
        except ClientDisconnect:
            return
        except Exception as e:
            if is_started:
                _log.exception("a reply was cut off")
                raise
            reply = error_response(e, envelope=envelope_for(scope))
            await reply(scope, receive, send)
