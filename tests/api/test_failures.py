"""What a client is told when a request that made sense fails all the same."""

import asyncio
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from runners.host.errors import LoadFailed
from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import Server, lines_of, serving
from tests.support.asgi import until
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

TOO_LONG = "request (9 tokens) exceeds the available context size (4 tokens), try increasing it"
DIED = "an error was encountered while running the model: "


async def ask(server: Server, endpoint: str, prompt: str, *, stream: bool) -> httpx.Response:
    asked: dict[str, Any] = {"prompt": prompt}
    if endpoint == "chat":
        asked = {"messages": [{"role": "user", "content": prompt}]}
    return await server.post(f"/api/{endpoint}", model="base", stream=stream, **asked)


def text_of(line: dict[str, Any]) -> str:
    return str(line["message"]["content"] if "message" in line else line["response"])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_a_request_that_the_runner_refuses_has_its_own_status(
    shared: Server, endpoint: str, stream: bool
) -> None:
    """Even when a stream was asked for: no line of it was sent yet."""
    answer = await ask(shared, endpoint, "refuse", stream=stream)

    assert (answer.status_code, answer.json()) == (400, {"error": TOO_LONG})
    assert answer.headers["content-type"].partition(";")[0] == "application/json"


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_a_stream_whose_runner_dies_ends_with_one_line_that_says_so(
    shared: Server, endpoint: str
) -> None:
    answer = await ask(shared, endpoint, "die one two", stream=True)

    assert answer.status_code == 200
    *pieces, last = lines_of(answer)
    assert "".join(text_of(piece) for piece in pieces) == "one two "
    assert not any(piece["done"] for piece in pieces)
    assert set(last) == {"error"}
    assert last["error"].startswith(DIED)


@pytest.mark.parametrize(
    ("prompt", "stream"), [("die", True), ("die", False), ("die one two", False)]
)
@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_an_answer_of_which_nothing_was_sent_has_the_status_of_its_failure(
    shared: Server, endpoint: str, prompt: str, stream: bool
) -> None:
    answer = await ask(shared, endpoint, prompt, stream=stream)

    assert answer.status_code == 500
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"].startswith(DIED)


async def test_the_request_after_a_death_is_served_by_another_runner(server: Server) -> None:
    await ask(server, "generate", "assert", stream=False)

    answer = await ask(server, "generate", "one two", stream=False)

    assert answer.json()["response"] == "one two "
    assert len(server.runners) == 2


async def test_a_request_whose_runner_is_killed_before_it_sent_anything_is_tried_once_more(
    server: Server,
) -> None:
    """ "die" kills the second runner too; one that crashes by itself is not tried again."""
    answer = await ask(server, "generate", "die", stream=True)

    assert answer.status_code == 500
    assert len(server.runners) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate", {"prompt": "one two"}),
        ("/api/generate", {"prompt": "one two", "stream": False}),
        ("/api/chat", {"messages": [{"role": "user", "content": "one two"}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "one two"}]}),
        ("/v1/completions", {"prompt": "one two"}),
        ("/v1/embeddings", {"input": "one two"}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "one two"}]}),
        ("/api/embed", {"input": "one two"}),
        ("/api/embeddings", {"prompt": "one two"}),
        ("/api/rerank", {"query": "one", "documents": ["two"]}),
        ("/api/tokenize", {"prompt": "one two"}),
        ("/api/detokenize", {"tokens": [97]}),
    ],
)
async def test_a_request_that_meets_a_runner_just_killed_is_answered_by_the_next(
    server: Server, path: str, body: dict[str, Any]
) -> None:
    await ask(server, "generate", "one two", stream=False)
    psutil.Process(server.runners[-1].pid).kill()

    answer = await server.post(path, model="base", **body)

    assert answer.status_code == 200, answer.text
    assert "error" not in answer.text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_cannot_be_loaded_is_told_and_may_be_tried_again(
    tmp_path: Path, stream: bool
) -> None:
    machine = FakeMachine(failures=deque([LoadFailed("the file is damaged"), None]))
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)

        failed = await server.post("/api/generate", model="base", stream=stream)
        again = await server.post("/api/generate", model="base", stream=stream)

    assert (failed.status_code, failed.json()) == (500, {"error": "the file is damaged"})
    assert again.json()["done_reason"] == "load"


@pytest.mark.parametrize("endpoint", ["generate", "chat", "embed", "embeddings"])
async def test_a_server_with_too_much_to_do_says_when_to_try_again(
    tmp_path: Path, endpoint: str
) -> None:
    machine = FakeMachine()
    machine.may_load.clear()
    async with (
        serving(tmp_path, machine=machine, max_queue=1) as server,
        asyncio.TaskGroup() as tasks,
    ):
        await server.create("base", TEXT_MODEL)
        await server.create("embedder", EMBEDDER)
        asked = [tasks.create_task(server.post("/api/generate", model="base"))]
        await until(lambda: server.n_pending == 1)
        asked.append(tasks.create_task(server.post("/api/embed", model="embedder")))
        await until(lambda: server.n_pending == 2)

        refused = await server.post(f"/api/{endpoint}", model="base")

        machine.may_load.set()
        served = [(await task).status_code for task in asked]

    assert refused.status_code == 503
    assert refused.json() == {
        "error": "server busy, please try again.  maximum pending requests exceeded"
    }
    assert refused.headers["retry-after"] == "1"
    assert served == [200, 200]


async def test_a_disk_that_cannot_be_written_is_told_without_its_paths(server: Server) -> None:
    blobs = server.store / "blobs"
    shutil.rmtree(blobs)
    blobs.write_text("in the way")

    answer = await server.http.post(f"/api/blobs/sha256:{'0' * 64}", content=b"x")

    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the models directory cannot be written: ")
    assert str(server.store) not in answer.text
