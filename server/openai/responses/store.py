"""Store responses in an SQLite file, until they expire or exceed a size limit.

A thread of its own does all work on the file. The file is opened when the first response is stored;
where that fails nothing is stored, and responses are generated all the same.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

_log = logging.getLogger(__name__)

_VERSION = 2
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY,
    previous TEXT,
    created REAL NOT NULL,
    input BLOB NOT NULL,
    response BLOB NOT NULL,
    owner TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (created);
CREATE TABLE IF NOT EXISTS items (
    id TEXT NOT NULL,
    response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    PRIMARY KEY (id, response)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_response ON items (response);
PRAGMA user_version = {_VERSION};
"""
_UPGRADE = "ALTER TABLE responses ADD COLUMN owner TEXT NOT NULL DEFAULT ''"
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
SELECT {} FROM chain
LEFT JOIN responses ON responses.id = chain.id AND created > ?
"""
_CHAIN = _CHAIN_OF.format("chain.id, input, response") + "ORDER BY depth DESC"
_CHAIN_BYTES = _CHAIN_OF.format("total(length(input) + length(response))")
_MAX_CHAIN = 10_000
# As large as a request that sends the whole conversation itself may be.
_MAX_CHAIN_BYTES = 64 << 20
_MAX_BYTES = 1 << 30
# One of so many stored responses is deleted at once to make room.
_EVICTED_SHARE = 16

_T = TypeVar("_T")
_FAILURES = (sqlite3.Error, OSError)


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
        max_bytes: int = _MAX_BYTES,
        max_chain_bytes: int = _MAX_CHAIN_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._seconds, self._max_bytes = path, seconds, max_bytes
        self._max_chain_bytes = max_chain_bytes
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "responses")
        self._connection: sqlite3.Connection | None = None
        self._has_warned = False

    async def is_ready(self) -> bool:
        """Return whether responses can be stored; logs once why they cannot."""
        return self._seconds > 0 and await self._try(lambda _: None)

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
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (response.id, previous, self._clock(), response.input, response.response, owner),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?)",
                [(id, response.id, place) for place, id in enumerate(items)],
            )
            self._make_room(connection)

        return await self._try(insert)

    async def get(self, id: str) -> StoredResponse:
        """Return a response; raises ResponseMissing."""
        return (await self.history(id, longest=0))[-1]

    async def history(self, id: str, longest: int = _MAX_CHAIN) -> list[StoredResponse]:
        """Return the responses that lead to one, and that one last; at most `longest` before it.

        Raises:
            ResponseMissing: one of them is not in the store.
            HistoryTooLarge: they are too large together.
        """
        if self._seconds <= 0:
            raise ResponseMissing(id)

        def select(connection: sqlite3.Connection) -> list[StoredResponse]:
            parameters = (id, longest, self._oldest())
            [n_bytes] = connection.execute(_CHAIN_BYTES, parameters).fetchone()
            if longest and n_bytes > self._max_chain_bytes:
                raise HistoryTooLarge
            return [StoredResponse(*row) for row in connection.execute(_CHAIN, parameters)]

        chain = await self._run(select)
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
        if self._seconds <= 0:
            return {}, []

        def select(
            connection: sqlite3.Connection,
        ) -> tuple[dict[str, tuple[str, int]], list[StoredResponse]]:
            rows = connection.execute(_PLACES, (json.dumps(ids), owner, self._oldest()))
            places = {id: (response, place) for id, response, place in rows}
            responses = json.dumps(sorted({response for response, _ in places.values()}))
            [n_bytes] = connection.execute(_BYTES_OF, (responses,)).fetchone()
            if n_bytes > self._max_chain_bytes:
                raise HistoryTooLarge
            rows = connection.execute(_ROWS_OF, (responses,))
            return places, [StoredResponse(*row) for row in rows]

        return await self._run(select)

    async def delete(self, id: str) -> None:
        """Delete a response; raises ResponseMissing."""

        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM responses WHERE id = ? AND created > ?", (id, self._oldest())
            ).rowcount

        if self._seconds <= 0 or not await self._run(delete):
            raise ResponseMissing(id)

    async def close(self) -> None:
        """Close the file after the work in progress."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _try(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        try:
            await self._run(work)
        except _FAILURES as e:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("responses are not stored: %s (%s)", e, self._path)
            return False
        self._has_warned = False
        return True

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction in the thread."""

        def transaction() -> _T:
            if self._connection is None:
                self._connection = _open(self._path)
            with self._connection:
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    def _oldest(self) -> float:
        return self._clock() - self._seconds

    def _make_room(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM responses WHERE created <= ?", (self._oldest(),))
        while _bytes_used(connection) > self._max_bytes:
            removed = connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY created "
                "LIMIT (SELECT 1 + count(*) / ? FROM responses))",
                (_EVICTED_SHARE,),
            )
            if not removed.rowcount:
                return


def _open(path: Path) -> sqlite3.Connection:
    # Only the owner may read conversations; the files that SQLite adds inherit the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path)
    try:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.DatabaseError("the file is of a newer version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        if version == 1:
            _upgrade(connection)
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    """Add what version 1 lacks, unless another server has just done it."""
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(responses)")]
    if "owner" not in columns:
        connection.execute(_UPGRADE)


def _bytes_used(connection: sqlite3.Connection) -> int:
    sizes = ("page_count", "freelist_count", "page_size")
    total, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in sizes)
    return int((total - free) * size)
