"""Store conversations and their items, beside the responses."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from server.openai.responses.database import OWNED, Database

# As large as a request that sends the whole conversation itself may be.
_MAX_BYTES = 64 << 20
_FIND = f"SELECT id, created, metadata FROM conversations WHERE id = ? AND used > ? AND {OWNED}"  # noqa: S608


class StoredConversation(NamedTuple):
    """A conversation; `created` in seconds since 1970, `metadata` as JSON."""

    id: str
    created: float
    metadata: bytes


class StoredItem(NamedTuple):
    """An item, as JSON."""

    id: str
    item: bytes


class ConversationMissing(Exception):
    """A conversation or an item of it is not in the store, or no longer."""


class ConversationTooLarge(Exception):
    """The items of a conversation are larger than a request may be."""


class ConversationStore:
    """Conversations in `database`; they expire when they have not been used for its time.

    `owner` is the id of the API key whose conversations it reads and creates, "" without one.
    """

    def __init__(self, database: Database, *, max_bytes: int = _MAX_BYTES, owner: str = "") -> None:
        self._database, self._max_bytes, self._owner = database, max_bytes, owner

    def of(self, owner: str) -> "ConversationStore":
        """Return the store for the holder of another key."""
        return ConversationStore(self._database, max_bytes=self._max_bytes, owner=owner)

    @property
    def is_kept(self) -> bool:
        """Whether conversations are stored at all."""
        return self._database.is_kept

    async def create(
        self, id: str, metadata: bytes, items: Sequence[StoredItem]
    ) -> StoredConversation:
        """Store a new conversation with its first items."""
        now = self._database.now()

        def insert(connection: sqlite3.Connection) -> None:
            row = (id, now, now, metadata, self._owner)
            connection.execute("INSERT INTO conversations VALUES (?, ?, ?, ?, ?)", row)
            _append(connection, id, items)
            self._database.make_room(connection)

        await self._database.run(insert)
        return StoredConversation(id, now, metadata)

    async def get(self, id: str) -> StoredConversation:
        """Return a conversation; raises ConversationMissing."""
        return await self._database.run(lambda connection: self._find(connection, id))

    async def update(self, id: str, metadata: bytes) -> StoredConversation:
        """Replace the metadata of a conversation; raises ConversationMissing."""

        def update(connection: sqlite3.Connection) -> StoredConversation:
            found = self._find(connection, id)
            connection.execute(
                "UPDATE conversations SET metadata = ?, used = ? WHERE id = ?",
                (metadata, self._database.now(), id),
            )
            return found._replace(metadata=metadata)

        return await self._database.run(update)

    async def delete(self, id: str) -> None:
        """Delete a conversation with its items; raises ConversationMissing."""

        def delete(connection: sqlite3.Connection) -> None:
            self._find(connection, id)
            connection.execute("DELETE FROM conversations WHERE id = ?", (id,))

        await self._database.run(delete)

    async def append(self, id: str, items: Sequence[StoredItem]) -> None:
        """Add items; one with an id that the conversation has is left as it is.

        Raises:
            ConversationMissing: there is no such conversation.
        """

        def insert(connection: sqlite3.Connection) -> None:
            self._find(connection, id)
            _append(connection, id, items)
            connection.execute(
                "UPDATE conversations SET used = ? WHERE id = ?", (self._database.now(), id)
            )
            self._database.make_room(connection)

        await self._database.run(insert)

    async def items(self, id: str, item: str | None = None) -> list[StoredItem]:
        """Return the items, oldest first, or only the one with the id `item`.

        Raises:
            ConversationMissing: there is no such conversation or item.
            ConversationTooLarge: they are too large together.
        """

        def select(connection: sqlite3.Connection) -> list[StoredItem]:
            self._find(connection, id)
            which, values = _selection(id, item)
            size = f"SELECT total(length(item)) FROM conversation_items WHERE {which}"  # noqa: S608
            [n_bytes] = connection.execute(size, values).fetchone()
            if n_bytes > self._max_bytes:
                raise ConversationTooLarge
            rows = f"SELECT id, item FROM conversation_items WHERE {which} ORDER BY place"  # noqa: S608
            found = [StoredItem(*row) for row in connection.execute(rows, values)]
            if item is not None and not found:
                raise ConversationMissing
            return found

        return await self._database.run(select)

    async def delete_item(self, id: str, item: str) -> StoredConversation:
        """Delete an item and return its conversation; raises ConversationMissing."""

        def delete(connection: sqlite3.Connection) -> StoredConversation:
            found = self._find(connection, id)
            removed = connection.execute(
                "DELETE FROM conversation_items WHERE conversation = ? AND id = ?", (id, item)
            )
            if not removed.rowcount:
                raise ConversationMissing
            return found

        return await self._database.run(delete)

    def _find(self, connection: sqlite3.Connection, id: str) -> StoredConversation:
        row = connection.execute(
            _FIND,
            (id, self._database.oldest(), self._owner),
        ).fetchone()
        if row is None:
            raise ConversationMissing
        return StoredConversation(*row)


def _append(connection: sqlite3.Connection, id: str, items: Sequence[StoredItem]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO conversation_items (conversation, id, item) VALUES (?, ?, ?)",
        [(id, *item) for item in items],
    )


def _selection(id: str, item: str | None) -> tuple[str, tuple[str, ...]]:
    if item is None:
        return "conversation = ?", (id,)
    return "conversation = ? AND id = ?", (id, item)
