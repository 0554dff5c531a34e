"""Conversations in the file of responses: they expire when they are not used, and are bounded."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.openai.responses.conversation_store import (
    ConversationMissing,
    ConversationStore,
    ConversationTooLarge,
    StoredItem,
)
from server.openai.responses.database import Database

pytestmark = pytest.mark.anyio


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path, clock: Clock) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "responses.db", 60, max_bytes=500_000, clock=clock)
    yield opened
    await opened.close()


def items(*ids: str, size: int = 1) -> list[StoredItem]:
    return [StoredItem(id, b"x" * size) for id in ids]


async def test_a_conversation_in_use_does_not_expire(database: Database, clock: Clock) -> None:
    store = ConversationStore(database)
    await store.create("used", b"{}", [])
    await store.create("idle", b"{}", [])
    for _ in range(3):
        clock.now += 59
        await store.append("used", items(str(clock.now)))

    assert len(await store.items("used")) == 3
    with pytest.raises(ConversationMissing):
        await store.get("idle")
    clock.now += 60
    with pytest.raises(ConversationMissing):
        await store.items("used")


async def test_conversations_that_were_not_used_for_longest_make_room(
    database: Database, clock: Clock
) -> None:
    store = ConversationStore(database)
    await store.create("kept", b"{}", [])
    for number in range(40):
        clock.now += 1
        await store.create(str(number), b"{}", items("x", size=50_000))
        await store.append("kept", items(str(number)))

    assert len(await store.items("kept")) == 40
    assert await store.get("39")
    with pytest.raises(ConversationMissing):
        await store.get("0")


async def test_a_conversation_too_large_for_a_request_is_not_read(database: Database) -> None:
    store = ConversationStore(database, max_bytes=100)
    await store.create("a", b"{}", items("1", size=60))
    assert len(await store.items("a")) == 1
    await store.append("a", items("2", size=60))

    with pytest.raises(ConversationTooLarge):
        await store.items("a")
    assert await store.items("a", "2") == items("2", size=60)
    await store.delete_item("a", "1")
    assert await store.items("a") == items("2", size=60)
