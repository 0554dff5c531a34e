"""Usage per API key, day and model in an SQLite file: requests, errors and tokens.

Requests are added up in memory and written every few seconds by a thread, so a killed server loses
so much. The file grows with keys times models times days; days are kept for a year.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from server.concurrency.sqlite_file import FAILURES, NewerFile, open_sqlite
from server.errors import ServerBusy

_log = logging.getLogger(__name__)

SECONDS: Final = 5.0
KEEP_DAYS: Final = 366
_DAY: Final = 86_400
_VERSION: Final = 1
_LOCK_SECONDS: Final = 30.0
"""For the server and commands, which write the same file."""
_MAX_ROWS: Final = 100_000
"""Rows that may wait for a disk that does not write."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS usage (
    day TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    generated_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID;
"""
_ADD: Final = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, key, model) DO UPDATE SET
    requests = requests + excluded.requests,
    errors = errors + excluded.errors,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    generated_tokens = generated_tokens + excluded.generated_tokens
"""
_SELECT: Final = """
SELECT day, key, model, requests, errors, prompt_tokens, generated_tokens FROM usage
WHERE day >= ? AND (? = '' OR key = ?) ORDER BY day DESC, key, model
"""


class UsageRow(NamedTuple):
    """What one key used of one model on one day (UTC); `model` is "" where none served it."""

    day: str
    key: str
    model: str
    requests: int
    errors: int
    prompt_tokens: int
    generated_tokens: int


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0


class UsageLog:
    """Adds up usage, and writes it to the file at `path`; thread-safe."""

    def __init__(
        self, path: Path, *, now: Callable[[], float] = time.time, seconds: float = SECONDS
    ) -> None:
        self._path, self._now, self._seconds = path, now, seconds
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        self._sums: dict[tuple[str, str, str], _Sums] = {}
        self._writer: threading.Timer | None = None
        self._has_warned = False

    def add(
        self,
        key: str,
        model: str,
        *,
        requests: int = 0,
        errors: int = 0,
        prompt_tokens: int = 0,
        generated_tokens: int = 0,
    ) -> None:
        """Add to what `key` has used of `model` today."""
        row = (day_of(self._now()), key, model)
        with self._lock:
            sums = self._sums.get(row)
            if sums is None:
                if len(self._sums) >= _MAX_ROWS:
                    return
                sums = self._sums[row] = _Sums()
            sums.requests += requests
            sums.errors += errors
            sums.prompt_tokens += prompt_tokens
            sums.generated_tokens += generated_tokens
            self._start()

    def rows(self, days: int, key: str = "") -> list[UsageRow]:
        """Return the rows of the last `days` days, of all keys or one; blocks on the disk.

        Raises ServerBusy where the file cannot be used.
        """
        self.flush()
        return read_usage(self._path, self._now(), days, key)

    def flush(self) -> None:
        """Write what waits; blocks on the disk."""
        with self._write_lock:
            with self._lock:
                sums, self._sums, self._writer = self._sums, {}, None
            if sums and not self._write(sums):
                with self._lock:
                    for row, old in sums.items():
                        new = self._sums.setdefault(row, _Sums())
                        new.requests += old.requests
                        new.errors += old.errors
                        new.prompt_tokens += old.prompt_tokens
                        new.generated_tokens += old.generated_tokens
                    self._start()

    def _start(self) -> None:
        if self._writer is None:
            self._writer = threading.Timer(self._seconds, self.flush)
            self._writer.daemon = True
            self._writer.start()

    def _write(self, sums: dict[tuple[str, str, str], _Sums]) -> bool:
        values = [
            (*row, each.requests, each.errors, each.prompt_tokens, each.generated_tokens)
            for row, each in sums.items()
        ]
        try:
            with closing(_open(self._path)) as connection, connection:
                connection.executemany(_ADD, values)
                oldest = day_of(self._now() - KEEP_DAYS * _DAY)
                connection.execute("DELETE FROM usage WHERE day < ?", (oldest,))
        except FAILURES as e:
            if not self._has_warned:
                self._has_warned = True
                _log.error("usage is not written: %s (%s)", e, self._path)
            return False
        self._has_warned = False
        return True


def read_usage(path: Path, now: float, days: int, key: str = "") -> list[UsageRow]:
    """Return what the file at `path` holds of the last `days` days; nothing without a file.

    Raises ServerBusy where it cannot be used.
    """
    if not path.exists():
        return []
    oldest = day_of(now - (days - 1) * _DAY)
    try:
        with closing(_open(path)) as connection:
            return [UsageRow(*row) for row in connection.execute(_SELECT, (oldest, key, key))]
    except NewerFile:
        raise ServerBusy("the usage was written by a newer version of paddock") from None
    except FAILURES:
        raise ServerBusy("the usage cannot be read at the moment") from None


def day_of(moment: float) -> str:
    """Return the day of a time in seconds since 1970, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    return open_sqlite(path, _SCHEMA, version=_VERSION, lock_seconds=_LOCK_SECONDS)
