"""Audit log: a JSON line for each request, written in batches and rotated by size.

A thread writes whole lines, so that what a killed process leaves can be read; half a line at the
end, from a write that was cut off, is removed when the file is opened again.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

SECONDS: Final = 1.0
"""How long a line may wait in memory; a killed server loses so much."""
_MAX_LINES: Final = 10_000
"""Lines that may wait for a disk that does not write; others are counted and dropped."""
N_FILES: Final = 5
"""The log itself, and `.1` to `.4`, of which `.1` is the newest."""

Facts = Mapping[str, str | int]


class AuditLog:
    """Appends lines to the file at `path`; `max_bytes` is when a new file is begun.

    Thread-safe. Lines are written by a thread that ends when there are none; `close` waits for it.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        *,
        now: Callable[[], float] = time.time,
        seconds: float = SECONDS,
    ) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._now, self._seconds = now, seconds
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._n_dropped = 0
        self._writer: threading.Timer | None = None
        self._write_lock = threading.Lock()
        self._is_repaired = self._has_warned = False

    def add(self, facts: Facts) -> None:
        """Add a line with the time; the fields that are empty or 0 are left out."""
        moment = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        known = {name: value for name, value in facts.items() if value}
        line = json.dumps({"time": moment, **known}, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if len(self._lines) >= _MAX_LINES:
                self._n_dropped += 1
                return
            self._lines.append(line)
            if self._writer is None:
                self._writer = threading.Timer(self._seconds, self._write)
                self._writer.daemon = True
                self._writer.start()

    def close(self) -> None:
        """Write what waits; blocks on the disk."""
        self._write()

    def _write(self) -> None:
        with self._write_lock:
            with self._lock:
                lines, self._lines, self._writer = self._lines, [], None
                n_dropped, self._n_dropped = self._n_dropped, 0
            try:
                if lines:
                    self._append(lines)
                self._has_warned = False
            except OSError as e:
                n_dropped += len(lines)
                if not self._has_warned:
                    self._has_warned = True
                    _log.error("the audit log is not written: %s (%s)", e.strerror, self._path)
            if n_dropped:
                _log.error("%d lines of the audit log are lost", n_dropped)

    def _append(self, lines: list[bytes]) -> None:
        if not self._is_repaired:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            remove_half_line(self._path)
            self._is_repaired = True
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            for line in lines:
                if size and size + len(line) > self._max_bytes:
                    os.close(descriptor)
                    self._rotate()
                    descriptor, size = self._open(), 0
                size += _write_all(descriptor, line)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        for number in range(N_FILES - 2, -1, -1):
            source = _numbered(self._path, number)
            if source.exists():
                source.replace(_numbered(self._path, number + 1))


def remove_half_line(path: Path) -> None:
    """Cut the file after its last whole line; does nothing where there is none."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return
    with file:
        end = size = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                end = start + last + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def _write_all(descriptor: int, line: bytes) -> int:
    written = 0
    while written < len(line):
        written += os.write(descriptor, line[written:])
    return written


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path
