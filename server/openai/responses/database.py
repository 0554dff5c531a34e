"""SQLite file of stored responses and conversations, bounded in age and size.

Where it cannot be opened nothing is stored, and responses are generated all the same.
"""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.concurrency.sqlite_file import FAILURES, SQLiteFile

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 1 << 30
"""Size of the file, unless said otherwise."""
OWNED = "(owner = ? OR substr(owner, 1, 4) != 'key_')"
"""The rows that the holder of an API key may see: those of no key, and the key's own."""
_VERSION = 3
_SCHEMA = """
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
CREATE TABLE IF NOT EXISTS events (
    response TEXT PRIMARY KEY REFERENCES responses (id) ON DELETE CASCADE,
    frames BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    used REAL NOT NULL,
    metadata BLOB NOT NULL,
    owner TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS conversations_by_use ON conversations (used);
CREATE TABLE IF NOT EXISTS conversation_items (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    item BLOB NOT NULL,
    UNIQUE (conversation, id)
);
"""
_OWNED_TABLES: Final = ("responses", "conversations")
# One of so many rows is deleted at once to make room.
_EVICTED_SHARE: Final = 16
_EVICTIONS: Final = (
    (
        "DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY created "
        "LIMIT (SELECT (count(*) + ?1 - 1) / ?1 FROM responses))"
    ),
    (
        "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations ORDER BY used "
        "LIMIT (SELECT (count(*) + ?1 - 1) / ?1 FROM conversations))"
    ),
)


class Database:
    """The file at `path`; rows expire after `seconds` (0: nothing is stored)."""

    def __init__(
        self, path: Path, seconds: float, *, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._path, self._seconds, self._max_bytes = path, seconds, max_bytes
        self.now = clock
        self._file = SQLiteFile(path, _SCHEMA, version=_VERSION, upgrade=_upgrade)
        self.run, self.close = self._file.run, self._file.close
        self._has_warned = False

    @property
    def is_kept(self) -> bool:
        """Whether anything is stored at all."""
        return self._seconds > 0

    def oldest(self) -> float:
        """Return the time before which rows have expired."""
        return self.now() - self._seconds

    def make_room(self, connection: sqlite3.Connection) -> None:
        """Delete what has expired, and the oldest until the rest fits."""
        connection.execute("DELETE FROM responses WHERE created <= ?", (self.oldest(),))
        connection.execute("DELETE FROM conversations WHERE used <= ?", (self.oldest(),))
        while _bytes_used(connection) > self._max_bytes:
            evicted = [connection.execute(e, (_EVICTED_SHARE,)).rowcount for e in _EVICTIONS]
            if not any(evicted):
                return

    async def attempt(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Run `work`; return whether it succeeded, and log once why not."""
        try:
            await self.run(work)
        except FAILURES as e:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("responses are not stored: %s (%s)", e, self._path)
            return False
        self._has_warned = False
        return True


def _upgrade(connection: sqlite3.Connection, _version: int) -> None:
    """Add what older versions lack, unless another server has just done it."""
    for table in _OWNED_TABLES:
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        if columns and "owner" not in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN owner TEXT NOT NULL DEFAULT ''")


def _bytes_used(connection: sqlite3.Connection) -> int:
    sizes = ("page_count", "freelist_count", "page_size")
    total, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in sizes)
    return int((total - free) * size)
