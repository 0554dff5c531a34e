"""Request log: an id for each request, one line with its facts, and never its texts."""

import logging
import re

import pytest
from starlette.types import Receive, Scope, Send

from server.http.middleware.request_log import RequestLogMiddleware
from server.request_record import current
from tests.support.asgi import Client, Reply, http_scope

pytestmark = pytest.mark.anyio

GENERATED = re.compile(r"req_[0-9a-f]{24}")


async def talker(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a secret, having told some facts."""
    record = current()
    record.model, record.n_generated, record.load_ns = "tiny", 3, 1_500_000
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret ", "more_body": True})
    await send({"type": "http.response.body", "body": b"answer"})


async def answer(*headers: tuple[str, str], logs_bodies: bool = False) -> Reply:
    client = Client(b"secret question")
    app = RequestLogMiddleware(talker, logs_bodies=logs_bodies)
    await app(
        http_scope(path="/api/chat", method="POST", headers=headers), client.receive, client.send
    )
    return client.reply


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "server.requests")
    return caplog


async def test_a_request_has_one_line_with_its_facts(lines: pytest.LogCaptureFixture) -> None:
    reply = await answer()

    [line] = lines.records
    assert line.levelno == logging.DEBUG
    assert line.fields.pop("ms") >= 0
    assert line.fields == {
        "request_id": reply.get("x-request-id"),
        "route": "POST /api/chat",
        "status": 200,
        "model": "tiny",
        "generated_tokens": 3,
        "load_ms": 1.5,
    }


async def test_without_a_reader_of_debug_lines_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    await answer()

    assert not caplog.records


@pytest.mark.parametrize("client_id", ["a", "4bf92f35-77b3.4da6:x_1", "x" * 128])
async def test_a_sane_id_of_the_client_is_used(client_id: str) -> None:
    assert (await answer(("x-request-id", client_id))).get("x-request-id") == client_id


@pytest.mark.parametrize("client_id", ["", " ", "a b", "a\n", "é", 'x"', "x" * 129, "\x1b[31m"])
async def test_any_other_id_is_replaced(client_id: str) -> None:
    header = (await answer(("x-request-id", client_id))).get("x-request-id")

    assert header is not None
    assert GENERATED.fullmatch(header)


async def test_ids_differ() -> None:
    headers = [(await answer()).get("x-request-id") for _ in range(100)]

    assert len(set(headers)) == 100


async def test_bodies_are_logged_only_where_they_are_wanted(
    lines: pytest.LogCaptureFixture,
) -> None:
    await answer()
    assert "secret" not in str(lines.records[0].__dict__)

    await answer(logs_bodies=True)
    line = lines.records[1]
    assert line.levelno == logging.INFO
    assert line.fields["request_body"] == "secret question"
    assert line.fields["reply_body"] == "secret answer"


async def test_a_request_whose_client_left_says_so(lines: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionResetError

    client = Client()
    with pytest.raises(ConnectionResetError):
        await RequestLogMiddleware(fails)(http_scope(), client.receive, client.send)

    assert lines.records[0].fields["end"] == "disconnected"
