"""The queue, cancelling and unloading, and the progress that is told before the first token."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import until
from tests.support.calls import Call, call
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

CANCELLED = "the request was cancelled by an operator of the server"
HELLO = [{"role": "user", "content": "forever"}]
ENDLESS: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": "forever"},
    "/api/chat": {"messages": HELLO},
    "/v1/chat/completions": {"messages": HELLO, "stream": True},
    "/v1/completions": {"prompt": "forever", "stream": True},
    "/v1/messages": {"messages": HELLO, "max_tokens": 10**6, "stream": True},
    "/v1/responses": {"input": "forever", "stream": True},
}
ERRORS = {
    "/api/generate": f'{{"error":"{CANCELLED}"}}\n',
    "/api/chat": f'{{"error":"{CANCELLED}"}}\n',
    "/v1/chat/completions": f'data: {{"error":{{"message":"{CANCELLED}"',
    "/v1/completions": f'data: {{"error":{{"message":"{CANCELLED}"',
    "/v1/messages": 'event: error\ndata: {"type":"error"',
    "/v1/responses": "event: response.failed\n",
}


@asynccontextmanager
async def loading(directory: Path) -> AsyncIterator[tuple[Server, FakeMachine]]:
    """A server on a machine that loads nothing until it may."""
    machine = FakeMachine()
    machine.may_load.clear()
    async with serving(directory, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        yield server, machine


async def queue(server: Server) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = (await server.http.get("/api/queue")).json()["requests"]
    return requests


async def only(server: Server) -> dict[str, Any]:
    [request] = await queue(server)
    return request


def last_text(stream: Call) -> str:
    body: bytes = stream.sent[-1]["body"]
    return body.decode()


async def test_an_idle_server_has_an_empty_queue(server: Server) -> None:
    assert await queue(server) == []


async def test_a_running_request_is_listed_without_its_texts(server: Server) -> None:
    stream = call(server, "/api/generate", prompt="forever", system="a secret")
    await stream.begun()

    request = await only(server)

    assert request["model"] == "base:latest"
    assert request["route"] == "POST /api/generate"
    assert request["phase"] == "decode"
    assert request["prompt_tokens"] == request["prompt_tokens_computed"] > 0
    assert request["generated_tokens"] >= 1
    assert request["age_seconds"] >= 0
    assert "secret" not in json.dumps(request)
    await stream.hang_up()
    assert await queue(server) == []


@pytest.mark.parametrize("path", ENDLESS)
async def test_the_client_of_a_cancelled_stream_gets_the_error_of_its_api(
    server: Server, path: str
) -> None:
    stream = call(server, path, **ENDLESS[path])
    await stream.begun()

    answer = await server.http.delete(f"/api/requests/{(await only(server))['id']}")
    await stream

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert ERRORS[path] in b"".join(part.get("body", b"") for part in stream.sent).decode()
    assert not stream.sent[-1]["more_body"]
    assert await queue(server) == []


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/v1/chat/completions"])
async def test_the_client_of_a_cancelled_whole_answer_gets_one_error(
    server: Server, path: str
) -> None:
    whole = call(server, path, **{**ENDLESS[path], "stream": False})
    await until(lambda: any(runner.connection.n_pending for runner in server.runners))

    await server.http.delete(f"/api/requests/{(await only(server))['id']}")
    await whole

    assert whole.sent[0]["status"] == 499, "clients send a request again after 409, 429 and 5xx"
    assert CANCELLED in last_text(whole)


async def test_a_request_that_waits_for_a_load_is_listed_with_its_progress_and_can_be_cancelled(
    tmp_path: Path,
) -> None:
    async with loading(tmp_path) as (server, machine):
        waiting = call(server, "/api/generate", prompt="a b", stream=False)
        await until(lambda: len(machine.loads) == 1)
        machine.loads[0].report(0.25)

        request = await only(server)
        assert (request["phase"], request["ratio"]) == ("loading", 0.25)

        await server.http.delete(f"/api/requests/{request['id']}")
        await waiting
        assert waiting.sent[0]["status"] == 499
        await until(lambda: machine.running == [])


async def test_a_load_is_listed_beside_what_is_loaded(tmp_path: Path) -> None:
    async with loading(tmp_path) as (server, machine):
        waiting = call(server, "/api/generate")
        await until(lambda: len(machine.loads) == 1)
        machine.loads[0].report(0.5)

        lists = (await server.http.get("/api/ps")).json()
        machine.may_load.set()
        await waiting

        assert lists["models"] == []
        assert lists["loading"] == [
            {"name": "base:latest", "model": "base:latest", "ratio": 0.5, "seconds": 0.0}
        ]
        assert "loading" not in (await server.http.get("/api/ps")).json()


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_progress_is_told_in_lines_before_the_first_token(tmp_path: Path, path: str) -> None:
    async with loading(tmp_path) as (server, machine):
        stream = call(server, path, progress=True)
        await until(lambda: len(machine.loads) == 1)
        machine.loads[0].report(0.5)
        await stream.begun()
        machine.may_load.set()
        await stream

    lines = [json.loads(part["body"]) for part in stream.sent if part.get("body")]
    assert lines[0]["progress"] == {"phase": "loading", "ratio": 0.5}
    assert lines[0]["done"] is False
    assert lines[0].get("response", lines[0].get("message", {}).get("content")) == ""
    assert lines[-1]["done_reason"] == "load"
    assert stream.sent[0]["status"] == 200


async def test_an_id_that_no_request_has_is_not_found(server: Server) -> None:
    answer = await server.http.delete("/api/requests/req_1")

    assert answer.status_code == 404
    assert answer.json() == {"error": 'no running request has the id "req_1"'}


async def test_a_background_response_is_listed_and_cancelled(server: Server) -> None:
    made = await server.post("/v1/responses", model="base", input="forever", background=True)
    await until(lambda: any(runner.connection.n_pending for runner in server.runners))

    await server.http.delete(f"/api/requests/{(await only(server))['id']}")

    path = f"/v1/responses/{made.json()['id']}"
    await until(lambda: not server.app.state.services.responses._running)
    assert (await server.http.get(path)).json()["status"] == "cancelled"
    assert await queue(server) == []


async def test_a_model_is_unloaded_by_name_or_all_are(server: Server) -> None:
    await server.create("other", TEXT_MODEL + b"\0" * 32)
    for model in ("base", "other"):
        await server.post("/api/generate", model=model, keep_alive=-1)

    one = await server.post("/api/unload", model="base")
    left = await server.loaded()
    rest = await server.post("/api/unload", all=True)

    assert one.json() == {"models": [{"model": "base:latest", "status": "unloaded"}]}
    assert left == ["other:latest"]
    assert rest.json() == {"models": [{"model": "other:latest", "status": "unloaded"}]}
    assert await server.loaded() == []


async def test_a_model_in_use_is_unloaded_when_its_requests_have_ended(server: Server) -> None:
    stream = call(server, "/api/generate", prompt="forever")
    await stream.begun()

    answer = await server.post("/api/unload", model="base")
    assert answer.json() == {"models": [{"model": "base:latest", "status": "unloading"}]}
    assert await server.loaded() == ["base:latest"]

    await stream.hang_up()
    assert await server.loaded() == []


@pytest.mark.parametrize("body", [{}, {"model": "base", "all": True}])
async def test_what_to_unload_must_be_said(server: Server, body: dict[str, Any]) -> None:
    answer = await server.post("/api/unload", **body)

    assert answer.status_code == 400
    assert answer.json() == {"error": 'either "model" or "all": true is required'}


async def test_to_unload_what_is_not_loaded_does_nothing(server: Server) -> None:
    assert (await server.post("/api/unload", model="base")).json() == {"models": []}
    assert (await server.post("/api/unload", model="none")).status_code == 404
