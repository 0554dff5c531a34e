"""Exceptions of routes become error replies by one table."""

import json
import logging

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from model_store.errors import ModelNotFound
from server.errors import BodyTooLarge
from server.http.middleware.failures import FailureMiddleware
from tests.support.asgi import Client, ask, http_scope, say_ok

pytestmark = pytest.mark.anyio


class Failing:
    """A route that fails, with an answer begun or not."""

    def __init__(self, error: Exception, *, begins: bool = False) -> None:
        self._error, self._begins = error, begins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ModelNotFound("a"), 404, "model 'a' not found"),
        (BodyTooLarge(5), 413, "the request body is larger than the 5 bytes allowed here"),
        (RuntimeError("/srv/models"), 500, "internal server error"),
    ],
    ids=["not found", "too large", "unforeseen"],
)
async def test_a_failure_before_the_reply_becomes_the_reply(
    error: Exception, status: int, text: str
) -> None:
    reply = await ask(FailureMiddleware(Failing(error)))

    assert reply.status == status
    assert reply.get("content-type") == "application/json; charset=utf-8"
    assert json.loads(reply.body) == {"error": text}


async def test_a_failure_within_the_reply_cuts_it_off_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second answer within the first would be read as a part of it."""
    client = Client()

    with pytest.raises(ZeroDivisionError):
        await FailureMiddleware(Failing(ZeroDivisionError(), begins=True))(
            http_scope(), client.receive, client.send
        )
    assert len(client.sent) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_disconnect_within_the_body_is_not_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()

    await FailureMiddleware(Failing(ClientDisconnect()))(http_scope(), client.receive, client.send)

    assert client.sent == []
    assert caplog.records == []


async def test_a_reply_without_failure_passes() -> None:
    assert (await ask(FailureMiddleware(say_ok))).body == b"ok"
