"""Store responses in an SQLite file, with the ids of their items."""

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from server.openai.responses.database import MAX_BYTES, OWNED, Database

# The newest response that has an item is the last row with its id.
_PLACES = """
SELECT items.id, items.response, place FROM items JOIN responses ON responses.id = items.response
WHERE items.id IN (SELECT value FROM json_each(?)) AND owner = ? AND created > ?
ORDER BY created, responses.rowid
"""
_BYTES_OF = """
SELECT total(length(input) + length(response)) FROM responses
WHERE id IN (SELECT value FROM json_each(?))
"""
_ROWS_OF = "SELECT id, input, response FROM responses WHERE id IN (SELECT value FROM json_each(?))"
# From the given response to the first one; a missing response has no row to join.
_CHAIN_OF = """
WITH RECURSIVE chain (depth, id) AS (
    SELECT 0, ?
    UNION ALL
    SELECT depth + 1, previous FROM chain JOIN responses USING (id)
    WHERE previous IS NOT NULL AND depth < ?
)
SELECT {columns} FROM chain
LEFT JOIN responses ON responses.id = chain.id AND created > ? AND {owned}
"""
_CHAIN = _CHAIN_OF.format(columns="chain.id, input, response", owned=OWNED) + "ORDER BY depth DESC"
_CHAIN_BYTES = _CHAIN_OF.format(columns="total(length(input) + length(response))", owned=OWNED)
_DELETE = f"DELETE FROM responses WHERE id = ? AND created > ? AND {OWNED}"  # noqa: S608
_MAX_CHAIN = 10_000
# As large as a request that sends the whole conversation itself may be.
_MAX_CHAIN_BYTES = 64 << 20


class StoredResponse(NamedTuple):
    """A response and its input items, both as JSON."""

    id: str
    input: bytes
    response: bytes


class ResponseMissing(Exception):
    """A response is not in the store, or no longer."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class HistoryTooLarge(Exception):
    """The responses before one are larger than a request may be."""


class ResponseStore:
    """Stores responses for `seconds` (0: not at all) in the file at `path`."""

    def __init__(
        self,
        path: Path,
        seconds: float,
        *,
        max_bytes: int = MAX_BYTES,
        max_chain_bytes: int = _MAX_CHAIN_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = Database(path, seconds, max_bytes=max_bytes, clock=clock)
        self._max_chain_bytes = max_chain_bytes

    async def is_ready(self) -> bool:
        """Return whether responses can be stored; logs once why they cannot."""
        return self.database.is_kept and await self.database.attempt(lambda _: None)

    async def put(
        self,
        response: StoredResponse,
        previous: str | None,
        *,
        owner: str = "",
        items: Sequence[str] = (),
    ) -> bool:
        """Store a response that continues `previous`; return whether that succeeded.

        `items` are the ids of its input items and then of its output; `owner` finds them by id.
        """

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (
                    response.id,
                    previous,
                    self.database.now(),
                    response.input,
                    response.response,
                    owner,
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?)",
                [(id, response.id, place) for place, id in enumerate(items)],
            )
            self.database.make_room(connection)

        return await self.database.attempt(insert)

    async def put_events(self, id: str, events: bytes) -> bool:
        """Store the encoded events of a stored response; return whether that succeeded."""
        frames = zlib.compress(events)

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO events SELECT id, ? FROM responses WHERE id = ?",
                (frames, id),
            )
            self.database.make_room(connection)

        return await self.database.attempt(insert)

    async def events(self, id: str) -> bytes | None:
        """Return the encoded events of a response, None when they are not stored."""
        row = await self.database.run(
            lambda connection: connection.execute(
                "SELECT frames FROM events WHERE response = ?", (id,)
            ).fetchone()
        )
        return None if row is None else zlib.decompress(row[0])

    async def get(self, id: str, reader: str = "") -> StoredResponse:
        """Return a response; raises ResponseMissing."""
        return (await self.history(id, longest=0, reader=reader))[-1]

    async def history(
        self, id: str, longest: int = _MAX_CHAIN, *, reader: str = ""
    ) -> list[StoredResponse]:
        """Return the responses that lead to one, and that one last; at most `longest` before it.

        Raises:
            ResponseMissing: one of them is not in the store, or belongs to another API key than
                that with the id `reader`.
            HistoryTooLarge: they are too large together.
        """
        if not self.database.is_kept:
            raise ResponseMissing(id)

        def select(connection: sqlite3.Connection) -> list[StoredResponse]:
            parameters = (id, longest, self.database.oldest(), reader)
            [n_bytes] = connection.execute(_CHAIN_BYTES, parameters).fetchone()
            if longest and n_bytes > self._max_chain_bytes:
                raise HistoryTooLarge
            return [StoredResponse(*row) for row in connection.execute(_CHAIN, parameters)]

        chain = await self.database.run(select)
        for response in chain:
            if response.response is None:
                raise ResponseMissing(response.id)
        return chain

    async def with_items(
        self, ids: Sequence[str], owner: str
    ) -> tuple[dict[str, tuple[str, int]], list[StoredResponse]]:
        """Return the response and the place of each stored item, and these responses.

        The place counts input items and then output items, as in `put`.

        Raises:
            HistoryTooLarge: the responses are too large together.
        """
        if not self.database.is_kept:
            return {}, []

        def select(
            connection: sqlite3.Connection,
        ) -> tuple[dict[str, tuple[str, int]], list[StoredResponse]]:
            rows = connection.execute(_PLACES, (json.dumps(ids), owner, self.database.oldest()))
            places = {id: (response, place) for id, response, place in rows}
            responses = json.dumps(sorted({response for response, _ in places.values()}))
            [n_bytes] = connection.execute(_BYTES_OF, (responses,)).fetchone()
            if n_bytes > self._max_chain_bytes:
                raise HistoryTooLarge
            rows = connection.execute(_ROWS_OF, (responses,))
            return places, [StoredResponse(*row) for row in rows]

        return await self.database.run(select)

    async def delete(self, id: str, reader: str = "") -> None:
        """Delete a response; raises ResponseMissing, as `history`."""

        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute(
                _DELETE,
                (id, self.database.oldest(), reader),
            ).rowcount

        if not self.database.is_kept or not await self.database.run(delete):
            raise ResponseMissing(id)

    async def close(self) -> None:
        """Close the file after the work in progress."""
        await self.database.close()
