"""SQLite file with a version, in which a thread of its own does all work.

The file is opened when it is first needed. Only the user of the server may read it.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

_T = TypeVar("_T")

FAILURES: Final = (sqlite3.Error, OSError)
"""What work on a file may raise."""


class NewerFile(sqlite3.DatabaseError):
    """The file was written by a newer version of paddock, and is left alone."""

    def __init__(self) -> None:
        super().__init__("the file was written by a newer version of paddock")


Upgrade = Callable[[sqlite3.Connection, int], None]
"""Changes a file of an earlier version, which it is given."""


def _keep(_connection: sqlite3.Connection, _version: int) -> None:
    """Change nothing."""


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
        upgrade: Upgrade = _keep,
        is_durable: bool = False,
    ) -> None:
        self._open = partial(
            open_sqlite, path, schema, version=version, upgrade=upgrade, is_durable=is_durable
        )
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


def open_sqlite(
    path: Path,
    schema: str,
    *,
    version: int,
    upgrade: Upgrade = _keep,
    is_durable: bool = False,
    lock_seconds: float = 5.0,
) -> sqlite3.Connection:
    """Open the file, or make it: see `SQLiteFile`. Waits `lock_seconds` for other connections.

    Raises:
        NewerFile: it is of a newer version, and was not changed.
        sqlite3.Error, OSError: it cannot be used.
    """
    # The files that SQLite adds inherit the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=lock_seconds)
    try:
        [present] = connection.execute("PRAGMA user_version").fetchone()
        if present > version:
            raise NewerFile
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        if 0 < present < version:
            upgrade(connection, present)
        connection.executescript(schema)
        if present < version:
            connection.execute(f"PRAGMA user_version = {version}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
