"""SQLite file with a version, in which a thread of its own does all work.

The file is opened when it is first needed. Only the user of the server may read it.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

_T = TypeVar("_T")

FAILURES: Final = (sqlite3.Error, OSError)
"""What work on a file may raise."""


class SQLiteFile:
    """The file at `path` with the tables of `schema`.

    `upgrade` changes a file of an earlier version, which it is given. Where `is_durable`, a
    transaction that has ended outlives a crash of the operating system too.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        version: int,
        upgrade: Callable[[sqlite3.Connection, int], None] = lambda _connection, _version: None,
        is_durable: bool = False,
    ) -> None:
        self._path, self._schema, self._version = path, schema, version
        self._upgrade, self._is_durable = upgrade, is_durable
        self._thread = ThreadPoolExecutor(1, path.stem)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction in the thread; raises what it raises, and `FAILURES`."""

        def transaction() -> _T:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    async def close(self) -> None:
        """Close the file after the work in progress."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        # The files that SQLite adds inherit the mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path)
        try:
            [version] = connection.execute("PRAGMA user_version").fetchone()
            if version > self._version:
                raise sqlite3.DatabaseError("the file is of a newer version")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._is_durable else 'NORMAL'}")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            if 0 < version < self._version:
                self._upgrade(connection, version)
            connection.executescript(self._schema)
            connection.execute(f"PRAGMA user_version = {self._version}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection
