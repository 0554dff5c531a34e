"""Clients that hang up: what was begun for them is given up, and nothing is left behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import until
from tests.support.calls import Call, call
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

ENDLESS: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": "forever"},
    "/api/chat": {"messages": [{"role": "user", "content": "forever"}]},
}
PATHS = ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"]


async def assert_idle(server: Server) -> None:
    """Hold that the one runner ends what it was doing, and that nobody waits for it."""
    [runner] = server.runners
    async with asyncio.timeout(20):
        before, now = -1, (await runner.client.stats()).n_generated
        while before != now:
            await asyncio.sleep(0.02)
            before, now = now, (await runner.client.stats()).n_generated
    assert runner.connection.n_pending == 0


@pytest.mark.parametrize(("path", "asked"), ENDLESS.items())
async def test_a_stream_ends_in_the_runner_when_its_reader_is_gone(
    server: Server, path: str, asked: dict[str, Any]
) -> None:
    stream = call(server, path, **asked)
    await stream.begun()

    await stream.hang_up()

    sent = len(stream.sent)
    await assert_idle(server)
    assert len(stream.sent) == sent
    assert stream.sent[-1]["more_body"], "nobody was told of an end"


@pytest.mark.parametrize(("path", "asked"), ENDLESS.items())
async def test_an_answer_in_one_piece_is_given_up_when_nobody_waits_for_it(
    server: Server, path: str, asked: dict[str, Any]
) -> None:
    whole = call(server, path, **asked, stream=False)
    await until(lambda: any(runner.connection.n_pending for runner in server.runners))

    await whole.hang_up()

    assert whole.sent == []
    await assert_idle(server)


@pytest.mark.parametrize(("path", "asked"), ENDLESS.items())
async def test_a_model_is_free_to_go_when_its_only_user_has_hung_up(
    server: Server, path: str, asked: dict[str, Any]
) -> None:
    stream = call(server, path, **asked, keep_alive=0)
    await stream.begun()
    assert await server.loaded() == ["base:latest"]

    await stream.hang_up()

    assert await server.loaded() == []


async def test_others_are_served_on(server: Server) -> None:
    leaves, stays = (call(server, "/api/generate", prompt="forever") for _ in range(2))
    await leaves.begun()
    await leaves.hang_up()
    sent = len(stays.sent)

    other = await server.post("/api/generate", model="base", prompt="one two", stream=False)

    assert other.json()["response"] == "one two "
    await until(lambda: len(stays.sent) > sent)
    await stays.hang_up()


@pytest.mark.parametrize("path", PATHS)
async def test_a_load_that_nobody_waits_for_any_more_is_given_up(tmp_path: Path, path: str) -> None:
    machine = FakeMachine()
    machine.may_load.clear()
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        waiting = call(server, path)
        await until(lambda: len(machine.loads) == 1)

        await waiting.hang_up()
        await until(lambda: machine.running == [])

        assert waiting.sent == []


async def test_a_load_goes_on_for_those_who_still_wait_for_it(tmp_path: Path) -> None:
    machine = FakeMachine()
    machine.may_load.clear()
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        leaves, stays = (call(server, "/api/generate") for _ in range(2))
        await until(lambda: server.n_pending == 2)

        await leaves.hang_up()
        machine.may_load.set()
        await stays

        assert b'"done_reason":"load"' in stays.sent[-1]["body"]
        assert len(machine.loads) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    blobs = set((server.store / "blobs").iterdir())
    upload = Call(server, f"/api/blobs/sha256:{'0' * 64}", b"x" * 3_000_000, more=True)

    await upload.hang_up()

    assert upload.sent == []
    assert set((server.store / "blobs").iterdir()) == blobs
