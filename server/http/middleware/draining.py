"""Graceful shutdown: running requests may finish, new ones get 503."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runners.host.errors import ShuttingDown
from server.http.drain import Drain
from server.http.envelopes import envelope_for
from server.http.streaming import error_response


class DrainMiddleware:
    """Counts running requests; once the server is closing, answers new ones with 503.

    A request that is aborted gets a 503 too, unless its reply has begun.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app, self._drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._drain.is_closing:
            await _refuse(scope, receive, send)
        else:
            await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        is_started = False

        async def mark_started(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        self._drain.begin(task, scope)
        try:
            await self._app(scope, receive, mark_started)
        except asyncio.CancelledError:
            if not self._drain.is_aborting:
                raise
            task.uncancel()
            if not is_started:
                await _refuse(scope, receive, send)
        finally:
            self._drain.end(task)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = error_response(ShuttingDown(), envelope=envelope_for(scope))
    await refusal(scope, receive, send)
