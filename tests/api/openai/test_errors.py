"""Whatever fails, a client of OpenAI is told in the form it knows, with a status that is true."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.http.drain import Drain
from server.http.middleware.draining import DrainMiddleware
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import ask, say_ok, until
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "user", "content": "a"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "a"},
    "/v1/embeddings": {"input": "a"},
}
TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def error(status: int, message: str) -> dict[str, Any]:
    kind = TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b'{"model": ', "unexpected EOF"),
        (b"[1]", "the request body must be an object, not a list"),
        (b'{"model": 5}', 'field "model" must be a string, not a number'),
        (b'{"stream": "yes"', "unexpected EOF"),
    ],
)
async def test_a_body_that_cannot_be_read(
    shared: Server, path: str, body: bytes, text: str
) -> None:
    answer = await shared.http.post(path, content=body)

    assert (answer.status_code, answer.json()) == (400, error(400, text))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("a/b/c/d/e:f", 400, "invalid model name"),
        ("x:cloud", 403, "ollama cloud is disabled: remote model is unavailable"),
    ],
)
async def test_a_model_that_cannot_be_used(
    shared: Server, path: str, model: str, status: int, text: str
) -> None:
    answer = await shared.post(path, model=model, **BODIES[path])

    assert (answer.status_code, answer.json()) == (status, error(status, text))


async def test_a_model_that_cannot_do_what_is_asked(shared: Server) -> None:
    answer = await shared.post("/v1/chat/completions", model="embedder", messages=MESSAGES)

    assert answer.json() == error(400, '"embedder" does not support chat')


async def refused_by_a_full_queue(
    directory: Path, path: str, body: dict[str, Any]
) -> httpx.Response:
    """Return the answer to a request while as many wait for a load as may."""
    machine = FakeMachine()
    machine.may_load.clear()
    async with (
        serving(directory, machine=machine, max_queue=1) as server,
        asyncio.TaskGroup() as tasks,
    ):
        await server.create("base", TEXT_MODEL)
        waiting = [
            tasks.create_task(server.post("/api/generate", model="base", keep_alive=n))
            for n in range(1, 3)
        ]
        await until(lambda: server.n_pending + sum(task.done() for task in waiting) == 2)

        refused = await server.post(path, model="base", **body)

        machine.may_load.set()
        assert {(await task).status_code for task in waiting} <= {200, 503}
    return refused


@pytest.mark.parametrize("path", BODIES)
async def test_a_full_queue_says_when_to_try_again(tmp_path: Path, path: str) -> None:
    refused = await refused_by_a_full_queue(tmp_path, path, BODIES[path])

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["type"] == "api_error"


OTHER_APIS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": MESSAGES},
    "/api/generate": {"prompt": "x"},
    "/api/embed": {"input": "x"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 5},
    "/v1/responses": {"input": "x"},
    "/v1/completions": {"prompt": "x", "stream": True},
    "/v1/chat/completions": {"messages": MESSAGES, "stream": True},
}


@pytest.mark.parametrize("path", OTHER_APIS)
async def test_a_full_queue_is_told_in_the_words_of_each_api(tmp_path: Path, path: str) -> None:
    """Streams too: nothing was sent yet, so the status can still say it."""
    refused = await refused_by_a_full_queue(tmp_path, path, OTHER_APIS[path])

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    error = refused.json()["error"]
    text = error if isinstance(error, str) else error["message"]
    assert text == "server busy, please try again.  maximum pending requests exceeded"
    if path == "/v1/messages":
        assert (refused.json()["type"], error["type"]) == ("error", "overloaded_error")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_a_closing_server_refuses_in_the_words_of_the_api(path: str) -> None:
    app = DrainMiddleware(say_ok, Drain(is_closing=True))

    answer = await ask(app, path, method="POST")

    assert answer.status == 503
    assert answer.get("retry-after") == "1"
    told = {
        "/v1/chat/completions": b'{"error":{"message":',
        "/v1/messages": b'{"type":"error","error":{"type":"overloaded_error"',
        "/api/chat": b'{"error":"',
    }
    assert answer.body.startswith(told[path])


async def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    async with serving(tmp_path, max_body=10) as server:
        answer = await server.post("/v1/embeddings", model="base", input="a" * 10)

    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "api_error"


@pytest.mark.parametrize("path", ["nothing", "fine_tuning/jobs", "images/generations", "chat"])
async def test_an_unknown_path_is_an_error_of_the_api(shared: Server, path: str) -> None:
    answer = await shared.http.post(f"/v1/{path}")

    text = f'"POST /v1/{path}" is not an endpoint of this server'
    assert (answer.status_code, answer.json()) == (404, error(404, text))


@pytest.mark.parametrize("accept", [None, "*/*"])
async def test_a_wrong_method_is_plain_text_for_those_who_do_not_ask_for_json(
    shared: Server, accept: str | None
) -> None:
    headers = {} if accept is None else {"accept": accept}
    answer = await shared.http.get("/v1/chat/completions", headers=headers)

    assert (answer.status_code, answer.text) == (405, "405 method not allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(("method", "path"), [("GET", "chat/completions"), ("DELETE", "models")])
async def test_a_wrong_method_is_an_error_of_the_api_for_its_libraries(
    shared: Server, method: str, path: str
) -> None:
    headers = {"accept": "application/json"}
    answer = await shared.http.request(method, f"/v1/{path}", headers=headers)

    assert answer.status_code == 405
    assert answer.json()["error"]["message"] == (
        f'"{method} /v1/{path}" is not an endpoint of this server; '
        f"the methods of this path are {answer.headers['allow']}"
    )
