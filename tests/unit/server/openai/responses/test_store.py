"""Responses that are remembered: for how long, how many, and what happens when that fails."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.openai.responses.store import (
    HistoryTooLarge,
    ResponseMissing,
    ResponseStore,
    StoredResponse,
)

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    path: Path, seconds: float = DAY, *, max_bytes: int = 1 << 30, clock: Clock | None = None
) -> AsyncIterator[ResponseStore]:
    stored = ResponseStore(path, seconds, max_bytes=max_bytes, clock=clock or Clock())
    try:
        yield stored
    finally:
        await stored.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


def kept(id: str, size: int = 1) -> StoredResponse:
    return StoredResponse(id, f"input of {id}".encode(), f"response {id}".encode() * size)


def files_of(path: Path) -> list[Path]:
    return list(path.parent.iterdir())


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def size_of(path: Path) -> int:
    return path.stat().st_size


def place(path: Path, content: bytes | None) -> None:
    """Put something where the file should be: a file with `content`, or a directory."""
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


async def test_a_response_is_found_again_by_another_server(path: Path) -> None:
    async with opened(path) as stored:
        assert await stored.put(kept("a"), None)
    async with opened(path) as stored:
        assert await stored.get("a") == kept("a")


async def test_a_history_begins_with_the_first_response(path: Path) -> None:
    async with opened(path) as stored:
        for id, previous in [("a", None), ("b", "a"), ("other", "a"), ("c", "b")]:
            await stored.put(kept(id), previous)

        assert await stored.history("c") == [kept("a"), kept("b"), kept("c")]


async def test_a_history_with_a_gap_is_none(path: Path) -> None:
    """To go on without the beginning of a conversation would be to go on with another one."""
    async with opened(path) as stored:
        for id, previous in [("a", None), ("b", "a"), ("c", "b")]:
            await stored.put(kept(id), previous)
        await stored.delete("b")

        with pytest.raises(ResponseMissing) as raised:
            await stored.history("c")
        assert raised.value.id == "b"
        assert await stored.get("c") == kept("c")


async def test_what_is_deleted_is_gone_from_the_file_too(path: Path) -> None:
    async with opened(path) as stored:
        await stored.put(kept("a", size=1000), None)
        await stored.delete("a")
        with pytest.raises(ResponseMissing):
            await stored.get("a")
        with pytest.raises(ResponseMissing):
            await stored.delete("a")

    assert b"response a" not in content_of(path)


async def test_responses_expire(path: Path) -> None:
    clock = Clock()
    async with opened(path, DAY, clock=clock) as stored:
        await stored.put(kept("old"), None)
        clock.now += DAY - 1
        await stored.put(kept("new"), "old")
        assert await stored.get("old") == kept("old")

        clock.now += 1
        with pytest.raises(ResponseMissing):
            await stored.get("old")
        with pytest.raises(ResponseMissing):
            await stored.delete("old")
        with pytest.raises(ResponseMissing):
            await stored.history("new")
        assert await stored.get("new") == kept("new")

        await stored.put(kept("newest"), None)
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT id FROM responses ORDER BY id").fetchall() == [
            ("new",),
            ("newest",),
        ]
    file.close()


async def test_the_oldest_make_room_for_the_newest(path: Path) -> None:
    clock, most = Clock(), 300_000
    async with opened(path, max_bytes=most, clock=clock) as stored:
        for number in range(60):
            clock.now += 1
            assert await stored.put(kept(f"{number:06}", size=1000), None)

        assert await stored.get("000059")
        with pytest.raises(ResponseMissing):
            await stored.get("000000")

    assert size_of(path) < 2 * most


async def test_one_response_that_is_too_large_is_not_kept_for_ever(path: Path) -> None:
    async with opened(path, max_bytes=100_000) as stored:
        assert await stored.put(kept("a", size=50_000), None)
        with pytest.raises(ResponseMissing):
            await stored.get("a")


async def test_a_conversation_too_large_for_a_request_is_not_read(path: Path) -> None:
    """Each response adds to it, and a server must not be filled by asking for the last one."""
    stored = ResponseStore(path, 60, max_chain_bytes=250)
    large = [StoredResponse(id, b"x" * 50, b"y" * 50) for id in "abc"]
    for one, previous in zip(large, (None, "a", "b"), strict=True):
        await stored.put(one, previous)

    assert await stored.history("b") == large[:2]
    assert await stored.get("c") == large[2]
    with pytest.raises(HistoryTooLarge):
        await stored.history("c")
    await stored.close()


async def test_nothing_is_kept_when_nothing_is_to_be_kept(path: Path) -> None:
    async with opened(path, 0) as stored:
        assert not await stored.is_ready()
        with pytest.raises(ResponseMissing):
            await stored.get("a")
        with pytest.raises(ResponseMissing):
            await stored.delete("a")

    assert files_of(path) == []


async def test_no_file_is_made_before_there_is_something_to_keep(path: Path) -> None:
    async with opened(path):
        pass

    assert files_of(path) == []


async def test_nobody_else_may_read_the_file(path: Path) -> None:
    async with opened(path) as stored:
        await stored.put(kept("a"), None)
        modes = [stat.S_IMODE(file.stat().st_mode) for file in files_of(path)]

    assert modes == [0o600] * 3


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
async def test_a_file_that_cannot_be_used_is_told_of_once(
    path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    place(path, content)

    async with opened(path) as stored:
        assert not await stored.is_ready()
        assert not await stored.put(kept("a"), None)
        with pytest.raises((sqlite3.Error, OSError)):
            await stored.get("a")

    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()

    async with opened(path) as stored:
        assert not await stored.is_ready()


async def test_two_servers_may_share_a_file(path: Path) -> None:
    async with opened(path) as one, opened(path) as other:
        await one.put(kept("a"), None)
        await other.put(kept("b"), "a")
        assert await one.history("b") == [kept("a"), kept("b")]


async def test_items_are_found_by_id_in_their_newest_response(path: Path) -> None:
    clock = Clock()
    async with opened(path, clock=clock) as stored:
        await stored.put(kept("a"), None, owner="o", items=["in", "out"])
        clock.now += 1
        await stored.put(kept("b"), "a", owner="o", items=["x", "in"])
        await stored.put(kept("c"), None, owner="other", items=["in"])

        places, responses = await stored.with_items(["in", "out", "nosuch"], "o")

        assert places == {"in": ("b", 1), "out": ("a", 1)}
        assert sorted(responses) == [kept("a"), kept("b")]
        await stored.delete("b")
        assert await stored.with_items(["x", "in"], "o") == ({"in": ("a", 0)}, [kept("a")])
        assert await stored.with_items(["x"], "") == ({}, [])


async def test_a_file_of_the_first_version_is_upgraded(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.executescript(
            "CREATE TABLE responses (id TEXT PRIMARY KEY, previous TEXT, created REAL NOT NULL,"
            "input BLOB NOT NULL, response BLOB NOT NULL); PRAGMA user_version = 1;"
            "INSERT INTO responses VALUES ('a', NULL, 1000, 'i', 'r')"
        )
    file.close()

    async with opened(path, DAY) as stored, opened(path, DAY) as other:
        await stored.put(kept("b"), "a", items=["x"])
        assert [response.id for response in await stored.history("b")] == ["a", "b"]
        assert (await other.with_items(["x"], ""))[0] == {"x": ("b", 0)}
