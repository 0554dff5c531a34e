"""Graceful shutdown: running requests finish, new ones get 503."""

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from server.http.drain import Drain
from server.http.middleware.draining import DrainMiddleware
from tests.support.asgi import Client, ask, http_scope, say_ok

pytestmark = pytest.mark.anyio


async def test_a_new_request_gets_503_with_retry_after() -> None:
    reply = await ask(DrainMiddleware(say_ok, Drain(is_closing=True)))

    assert (reply.status, reply.get("retry-after")) == (503, "1")
    assert json.loads(reply.body) == {"error": "the server is shutting down"}


async def test_a_running_request_is_counted_and_finishes() -> None:
    drain, begun, may_end, client = Drain(), asyncio.Event(), asyncio.Event(), Client()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await may_end.wait()
        await say_ok(scope, receive, send)

    app = DrainMiddleware(slow, drain)
    running = asyncio.create_task(app(http_scope(), client.receive, client.send))
    await begun.wait()
    drain.is_closing = True

    refused = await ask(app)

    assert (refused.status, drain.active) == (503, 1)
    may_end.set()
    await running
    assert (client.reply.body, drain.active) == (b"ok", 0)


async def test_an_aborted_request_gets_503_unless_its_reply_has_begun() -> None:
    drain, begun = Drain(), asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    app = DrainMiddleware(endless, drain)
    for path, status in (("/silent", 503), ("/begun", 200)):
        begun.clear()
        client = Client()
        running = asyncio.create_task(app(http_scope(path), client.receive, client.send))
        await begun.wait()
        drain.abort()
        await running
        assert (client.sent[0]["status"], drain.active) == (status, 0)
        drain.is_closing = drain.is_aborting = False


async def test_a_request_that_is_cancelled_for_another_reason_is_not_answered() -> None:
    drain, client = Drain(), Client()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    app = DrainMiddleware(endless, drain)
    running = asyncio.create_task(app(http_scope(), client.receive, client.send))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert drain.active == 0


async def test_a_request_that_fails_is_no_longer_counted() -> None:
    """Else the server would wait for it until the grace period is over."""
    drain = Drain()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(DrainMiddleware(failing, drain))
    assert drain.active == 0
