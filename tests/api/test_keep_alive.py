"""How long a model stays in memory: loaded and unloaded by empty requests, kept as asked."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, lines_of, serving
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

FIVE_MINUTES = timedelta(minutes=5)
LONGER_THAN_ANYBODY = timedelta(days=290 * 365)
ENDPOINTS: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "a"},
    "chat": {"messages": [{"role": "user", "content": "a"}]},
    "embed": {"input": "a"},
    "embeddings": {"prompt": "a"},
}


@pytest.fixture
async def holder(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Server]:
    """A server whose runners only hold the model `base`: they are no processes, and say nothing."""
    async with serving(tmp_path, machine=FakeMachine()) as made:
        await made.create("base", TEXT_MODEL)
        yield made


async def remaining(server: Server) -> timedelta:
    """Return how long the one loaded model will stay, as /api/ps says."""
    [told] = (await server.http.get("/api/ps")).json()["models"]
    return datetime.fromisoformat(told["expires_at"]) - server.clock.today()


@pytest.mark.parametrize("stream", [None, True, False])
@pytest.mark.parametrize("prompt", [{}, {"prompt": ""}, {"prompt": None}])
async def test_an_empty_prompt_loads_the_model_and_is_answered_by_one_object(
    shared: Server, prompt: dict[str, Any], stream: bool | None
) -> None:
    answer = await shared.post("/api/generate", model="base", stream=stream, **prompt)

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    told = answer.json()
    assert told.pop("created_at")
    assert told == {"model": "base", "response": "", "done": True, "done_reason": "load"}
    assert "base:latest" in await shared.loaded()


@pytest.mark.parametrize("messages", [{}, {"messages": []}, {"messages": None}])
async def test_a_chat_without_messages_loads_the_model(
    shared: Server, messages: dict[str, Any]
) -> None:
    answer = await shared.post("/api/chat", model="base", **messages)

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    told = answer.json()
    assert told.pop("created_at")
    assert told == {
        "model": "base",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "load",
    }
    assert "base:latest" in await shared.loaded()


@pytest.mark.parametrize("zero", [0, 0.0, "0", "0s", "-0h"], ids=repr)
@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_an_empty_request_with_no_time_to_stay_unloads(
    holder: Server, endpoint: str, zero: object
) -> None:
    await holder.post("/api/generate", model="base")

    answer = await holder.post(f"/api/{endpoint}", model="Base", keep_alive=zero)

    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "unload")
    assert answer.json()["model"] == "Base"
    assert await holder.loaded() == []


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_unloading_what_is_not_loaded_succeeds_and_loads_nothing(
    holder: Server, endpoint: str
) -> None:
    answer = await holder.post(f"/api/{endpoint}", model="base", keep_alive=0)

    assert (answer.status_code, answer.json()["done_reason"]) == (200, "unload")
    assert await holder.loaded() == []


@pytest.mark.parametrize(("endpoint", "asked"), ENDPOINTS.items())
async def test_a_request_with_no_time_to_stay_is_served_and_then_unloads(
    server: Server, endpoint: str, asked: dict[str, Any]
) -> None:
    answer = await server.post(f"/api/{endpoint}", model="base", keep_alive=0, **asked)

    assert answer.status_code == 200
    assert await server.loaded() == []


async def test_an_answer_that_unloads_afterwards_is_whole(server: Server) -> None:
    answer = await server.post("/api/generate", model="base", prompt="one two", keep_alive=0)

    assert "".join(line["response"] for line in lines_of(answer)) == "one two "
    assert lines_of(answer)[-1]["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("keep_alive", "stays"),
    [
        (None, FIVE_MINUTES),
        (60, timedelta(seconds=60)),
        (0.5, timedelta(seconds=0.5)),
        ("1h30m", timedelta(hours=1.5)),
        ("1.5h", timedelta(hours=1.5)),
        ("+90s", timedelta(seconds=90)),
        ("250ms", timedelta(seconds=0.25)),
    ],
)
async def test_a_model_stays_as_long_as_the_request_wants(
    holder: Server, keep_alive: object, stays: timedelta
) -> None:
    await holder.post("/api/generate", model="base", keep_alive=keep_alive)

    assert await remaining(holder) == stays
    holder.clock.advance(stays.total_seconds() - 0.1)
    assert await holder.loaded() == ["base:latest"]
    holder.clock.advance(0.1)
    assert await holder.loaded() == []


@pytest.mark.parametrize("keep_alive", [-1, -0.5, "-1s", "-5m", 1e300])
async def test_a_model_can_stay_for_ever(holder: Server, keep_alive: object) -> None:
    await holder.post("/api/generate", model="base", keep_alive=keep_alive)

    assert await remaining(holder) > LONGER_THAN_ANYBODY
    holder.clock.advance(1e9)
    assert await holder.loaded() == ["base:latest"]


@pytest.mark.parametrize(("endpoint", "asked"), ENDPOINTS.items())
async def test_a_request_that_does_not_say_keeps_what_the_model_has_and_starts_it_again(
    server: Server, endpoint: str, asked: dict[str, Any]
) -> None:
    await server.post("/api/generate", model="base", keep_alive=20)
    server.clock.advance(15)

    await server.post(f"/api/{endpoint}", model="base", **asked)
    first = await remaining(server)
    await server.post(f"/api/{endpoint}", model="base", keep_alive=None, **asked)

    assert (first, await remaining(server)) == (timedelta(seconds=20),) * 2


async def test_a_model_kept_for_ever_is_not_made_mortal_by_a_request_that_does_not_say(
    server: Server,
) -> None:
    await server.post("/api/generate", model="base", keep_alive=-1)
    await server.post("/api/generate", model="base", prompt="a")

    assert await remaining(server) > LONGER_THAN_ANYBODY


async def test_the_servers_own_default_holds_for_the_first_load(server: Server) -> None:
    await server.post("/api/generate", model="base", prompt="a")
    server.clock.advance(299)
    await server.post("/api/generate", model="base", prompt="a")

    assert await remaining(server) == FIVE_MINUTES
    assert len(server.runners) == 1


async def test_a_smaller_context_is_served_by_what_is_loaded_and_a_larger_one_is_not(
    server: Server,
) -> None:
    """Two clients with different wishes must not throw each other's model out in turn."""
    for num_ctx in (1024, 512, 1024, 2048, 1024):
        await server.post("/api/generate", model="base", options={"num_ctx": num_ctx})

    assert len(server.runners) == 2
    assert await server.loaded() == ["base:latest"]
