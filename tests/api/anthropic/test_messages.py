"""POST /v1/messages: the assistant's next turn, for Anthropic's clients."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
import zstandard

from tests.support.application import Server
from tests.support.asgi import Client, http_scope, until
from tests.support.sse import events_of

pytestmark = pytest.mark.anyio

PATH = "/v1/messages"
HISTORY = "<user>Hi\n<assistant>Hello\n"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def ask(server: Server, text: str = "Once upon", **fields: Any) -> httpx.Response:
    body = {"model": "base", "max_tokens": 50, "messages": [user(text)], **fields}
    return await server.post(PATH, **body)


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Return status, type and message of an error in the envelope of this API."""
    told = answer.json()
    assert told["type"] == "error"
    assert re.fullmatch("req_[0-9a-f]{24}", told["request_id"])
    return answer.status_code, told["error"]["type"], told["error"]["message"]


async def test_a_whole_answer_is_a_message(shared: Server) -> None:
    answer = await ask(shared, model="Base:LATEST")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json()
    assert re.fullmatch("msg_[0-9a-f]{24}", told.pop("id"))
    assert told == {
        "type": "message",
        "role": "assistant",
        "model": "Base:LATEST",
        "content": [{"type": "text", "text": "Once upon "}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


async def test_a_stream_has_its_events_in_the_order_that_clients_build_on(shared: Server) -> None:
    answer = await ask(shared, "Once", stream=True)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    (start, message), *rest = events_of(answer.text)
    assert start == "message_start"
    assert message["message"]["model"] == "base"
    assert message["message"]["usage"] == {"input_tokens": 2, "output_tokens": 0}
    text = {"type": "content_block_delta", "index": 0}
    assert rest == [
        (
            "content_block_start",
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
        ),
        ("content_block_delta", {**text, "delta": {"type": "text_delta", "text": "Once "}}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ]


async def test_the_conversation_reaches_the_template(shared: Server) -> None:
    """The model's own system text gives way to that of the request."""
    answer = await ask(
        shared,
        model="teller",
        system=[{"type": "text", "text": "Sing."}],
        messages=[user("One"), {"role": "assistant", "content": "Two"}, user("Three")],
    )

    said = " ".join(
        f"{HISTORY}<system>Sing.\n<user>One\n<assistant>Two\n<user>Three\n<assistant>".split()
    )
    assert answer.json()["content"] == [{"type": "text", "text": said + " "}]


async def test_a_call_cut_by_its_limit_says_so(shared: Server) -> None:
    answer = await ask(shared, "one two three", max_tokens=2)

    assert answer.json()["content"][0]["text"] == "one two "
    assert answer.json()["stop_reason"] == "max_tokens"


async def test_a_wish_to_think_is_no_reason_to_refuse(shared: Server) -> None:
    answer = await ask(shared, thinking={"type": "enabled", "budget_tokens": 1024})

    assert answer.json()["content"] == [{"type": "text", "text": "Once upon "}]


async def test_what_the_hosted_service_alone_knows_is_ignored(shared: Server) -> None:
    answer = await shared.http.post(
        f"{PATH}?beta=true",
        json={
            "model": "base",
            "max_tokens": 50,
            "messages": [user("Once upon")],
            "metadata": {"user_id": "x"},
            "service_tier": "auto",
            "betas": ["x"],
            "mcp_servers": [],
            "context_management": {"edits": []},
        },
        headers={"x-api-key": "x", "anthropic-version": "2023-06-01", "anthropic-beta": "a,b"},
    )

    assert answer.status_code == 200


async def test_a_compressed_request_is_understood(shared: Server) -> None:
    body = json.dumps({"model": "base", "max_tokens": 5, "messages": [user("Once")]}).encode()

    answer = await shared.http.post(
        PATH,
        content=zstandard.ZstdCompressor().compress(body),
        headers={"content-encoding": "zstd"},
    )

    assert answer.json()["content"] == [{"type": "text", "text": "Once "}]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": ""}, (400, "invalid_request_error", "model is required")),
        (
            {"max_tokens": 0},
            (400, "invalid_request_error", "max_tokens is required and must be positive"),
        ),
        ({"messages": []}, (400, "invalid_request_error", "messages is required")),
        (
            {"model": 5},
            (400, "invalid_request_error", 'field "model" must be a string, not a number'),
        ),
        ({"model": "nosuch"}, (404, "not_found_error", "model 'nosuch' not found")),
        ({"model": "a/b/c/d/e:f"}, (400, "invalid_request_error", "invalid model name")),
        (
            {"model": "embedder"},
            (400, "invalid_request_error", '"embedder" does not support chat'),
        ),
        (
            {"tools": [{"name": "f", "input_schema": {}}]},
            (
                400,
                "invalid_request_error",
                "registry.ollama.ai/library/base:latest does not support tools",
            ),
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_has_the_status_and_envelope_of_this_api(
    shared: Server, fields: dict[str, Any], error: tuple[int, str, str], stream: bool
) -> None:
    assert error_of(await ask(shared, stream=stream, **fields)) == error


@pytest.mark.parametrize("body", [b"", b'{"model": ', b'"x"', b"\x28\xb5\x2f\xfd"])
async def test_a_body_that_cannot_be_read_is_refused_in_the_same_way(
    shared: Server, body: bytes
) -> None:
    answer = await shared.http.post(PATH, content=body)

    assert error_of(answer)[:2] == (400, "invalid_request_error")


async def test_damaged_compression_is_refused_in_the_same_way(shared: Server) -> None:
    answer = await shared.http.post(PATH, content=b"{}", headers={"content-encoding": "zstd"})

    assert error_of(answer) == (
        400,
        "invalid_request_error",
        "failed to decompress request body: the data are not valid zstd",
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_runner_refuses_is_no_answer(shared: Server, stream: bool) -> None:
    answer = await ask(shared, "refuse", stream=stream)

    assert error_of(answer)[:2] == (400, "invalid_request_error")


async def test_a_stream_that_breaks_off_ends_with_an_error(server: Server) -> None:
    answer = await ask(server, "die one two", stream=True)
    name, data = events_of(answer.text)[-1]

    assert answer.status_code == 200
    assert name == "error"
    assert data["error"]["type"] == "api_error"
    assert b"message_stop" not in answer.content


async def test_an_answer_that_breaks_off_in_one_piece_is_an_error(server: Server) -> None:
    assert error_of(await ask(server, "die one two"))[:2] == (500, "api_error")


async def test_nothing_goes_on_for_a_client_that_has_left(server: Server) -> None:
    body = {"model": "base", "max_tokens": 10**6, "messages": [user("forever")], "stream": True}
    client = Client(json.dumps(body).encode())
    headers = [("host", "localhost")]
    scope = http_scope(PATH, method="POST", headers=headers)
    answering = asyncio.create_task(server.app(scope, client.receive, client.send))
    await until(lambda: len(client.bodies) >= 5)

    client.gone.set()
    await answering

    [runner] = server.runners
    await until(lambda: runner.connection.n_pending == 0)
    assert not client.is_answered, "nobody was told of an end"


async def test_the_path_takes_posts_alone(shared: Server) -> None:
    answer = await shared.http.get(PATH)

    assert (answer.status_code, answer.text) == (405, "405 method not allowed")
