"""Responses that are remembered, in an SQLite file, until they expire or are too many.

All work on the file is done by one thread of its own. The file is opened when the first response
comes to be kept; where that is not possible nothing is kept, and the server answers all the same.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

_log = logging.getLogger(__name__)

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY,
    previous TEXT,
    created REAL NOT NULL,
    input BLOB NOT NULL,
    response BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (created);
PRAGMA user_version = {_VERSION};
"""
# From the response asked for to the first one; a link that is not there has no row of its own.
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
_LONGEST_CHAIN = 10_000
# As much as a request may bring that tells the whole conversation itself.
_LARGEST_CHAIN = 64 << 20
_MOST_BYTES = 1 << 30
# How much of what is kept makes room at once when there is too much.
_SHARE = 16

_T = TypeVar("_T")
_FAILURES = (sqlite3.Error, OSError)


class Kept(NamedTuple):
    """A response: its input items and itself, both as JSON."""

    id: str
    input: bytes
    response: bytes


class Missing(Exception):
    """A response that is not kept, or no longer."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class TooLarge(Exception):
    """A response goes on from more than one request may have in memory."""


class StoredResponses:
    """Remembers responses for `seconds` (0: not at all) in the file at `path`."""

    def __init__(
        self,
        path: Path,
        seconds: float,
        *,
        most_bytes: int = _MOST_BYTES,
        largest_chain: int = _LARGEST_CHAIN,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._seconds, self._most_bytes = path, seconds, most_bytes
        self._largest_chain = largest_chain
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "responses")
        self._connection: sqlite3.Connection | None = None
        self._has_warned = False

    async def is_ready(self) -> bool:
        """Tell whether responses can be kept; why they cannot is logged once."""
        return self._seconds > 0 and await self._tried(lambda _: None)

    async def put(self, kept: Kept, previous: str | None) -> bool:
        """Keep a response that goes on from `previous`; tell whether that worked."""

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?)",
                (kept.id, previous, self._clock(), kept.input, kept.response),
            )
            self._make_room(connection)

        return await self._tried(insert)

    async def get(self, id: str) -> Kept:
        """Return a response; raises Missing."""
        return (await self.history(id, longest=0))[-1]

    async def history(self, id: str, longest: int = _LONGEST_CHAIN) -> list[Kept]:
        """Return a response after those from which it goes on, at most `longest`, oldest first.

        Raises:
            Missing: one of them is not kept.
            TooLarge: they are, but are too large together.
        """
        if self._seconds <= 0:
            raise Missing(id)

        def select(connection: sqlite3.Connection) -> list[Kept]:
            wanted = (id, longest, self._oldest())
            [n_bytes] = connection.execute(_CHAIN_BYTES, wanted).fetchone()
            if longest and n_bytes > self._largest_chain:
                raise TooLarge
            return [Kept(*row) for row in connection.execute(_CHAIN, wanted)]

        chain = await self._run(select)
        for kept in chain:
            if kept.response is None:
                raise Missing(kept.id)
        return chain

    async def delete(self, id: str) -> None:
        """Forget a response; raises Missing."""

        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM responses WHERE id = ? AND created > ?", (id, self._oldest())
            ).rowcount

        if self._seconds <= 0 or not await self._run(delete):
            raise Missing(id)

    async def close(self) -> None:
        """Close the file once all that was begun is done."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _tried(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        try:
            await self._run(work)
        except _FAILURES as e:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("responses are not kept: %s (%s)", e, self._path)
            return False
        self._has_warned = False
        return True

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do `work` as one transaction in the thread."""

        def transaction() -> _T:
            if self._connection is None:
                self._connection = _opened(self._path)
            with self._connection:
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    def _oldest(self) -> float:
        return self._clock() - self._seconds

    def _make_room(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM responses WHERE created <= ?", (self._oldest(),))
        while _bytes_used(connection) > self._most_bytes:
            removed = connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY created "
                "LIMIT (SELECT 1 + count(*) / ? FROM responses))",
                (_SHARE,),
            )
            if not removed.rowcount:
                return


def _opened(path: Path) -> sqlite3.Connection:
    # What people ask is nobody else's affair; the files that SQLite puts beside inherit the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path)
    try:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("the file is of a newer version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _bytes_used(connection: sqlite3.Connection) -> int:
    sizes = ("page_count", "freelist_count", "page_size")
    total, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in sizes)
    return int((total - free) * size)
