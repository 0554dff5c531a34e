"""Folder of uploaded files and batches: an SQLite file with all that is known, and the contents.

One server works on the batches of a folder, the one that holds its lock; others may share the
folder to store and to read.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from server.concurrency.sqlite_file import SQLiteFile
from server.concurrency.threads import in_thread

_T = TypeVar("_T")

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    expires INTEGER,
    object BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS files_by_expiry ON files (expires);
CREATE TABLE IF NOT EXISTS batches (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    input TEXT NOT NULL,
    ended INTEGER,
    keep INTEGER NOT NULL,
    cancel INTEGER NOT NULL DEFAULT 0,
    output TEXT NOT NULL,
    output_bytes INTEGER NOT NULL DEFAULT 0,
    errors TEXT NOT NULL,
    errors_bytes INTEGER NOT NULL DEFAULT 0,
    object BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_end ON batches (ended);
CREATE TABLE IF NOT EXISTS lines (
    batch TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    line INTEGER NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (batch, model, line)
) WITHOUT ROWID;
"""
_ORPHAN_SECONDS: Final = 3600.0
"""A content that nothing refers to may be an upload in progress before it is so old."""


class Folder:
    """The folder at `path`, which is made when it is first written to.

    `max_bytes` bounds the contents together. `clock` returns seconds since 1970.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path, self.max_bytes = path, max_bytes
        self.now = clock
        self._lock: int | None = None
        self._database_path = path / "batches.db"
        self._database = SQLiteFile(self._database_path, _SCHEMA, version=_VERSION, is_durable=True)
        self._is_made = False

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored."""
        return self._database_path.exists()

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction; raises what it raises, and `FAILURES`."""
        if not self._is_made:
            await in_thread(self._make)
            self._is_made = True
        return await self._database.run(work)

    def _make(self) -> None:
        (self._path / "files").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.chmod(0o700)

    def content(self, id: str) -> Path:
        """Return where the content of a file lies."""
        return self._path / "files" / id

    def create(self, id: str) -> int:
        """Create an empty content, and return its descriptor; raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self.content(id), flags, 0o600)

    def lock(self) -> bool:
        """Try to become the server that works on the batches; return whether this is it."""
        if self._lock is None:
            descriptor = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        return True

    def remove_orphans(self, known: frozenset[str]) -> None:
        """Delete the old contents that are not `known`."""
        for path in (self._path / "files").iterdir():
            if path.name not in known and self.now() - path.stat().st_mtime > _ORPHAN_SECONDS:
                path.unlink()

    async def close(self) -> None:
        """Close the database, and give back the lock."""
        await self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
