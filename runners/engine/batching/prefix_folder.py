"""Prefix folder: states of computed prefixes in files, which outlive the runner and the server.

The files of all models share a directory and its size limit; the least recently used go first. A
new file lies in the page cache, so a model that is soon loaded again reads it from memory. Nothing
here raises because of what is in the directory: a damaged file is deleted, and is a miss; one in
another format is that of another version, which may be installed again, and is left alone.
"""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runners.engine.batching import prefix_file
from runners.engine.batching.prefix_file import (
    DamagedFile,
    DeadlinePassed,
    Header,
    OtherFormat,
    Snapshot,
)
from runners.engine.batching.prefix_memory import is_available
from runners.engine.common_prefix import common_length
from runners.engine.native.llama import TokenIds
from runners.protocol.prefixes import SUFFIX, PrefixStorage

MIN_TOKENS = 256
"""Fewest tokens worth saving: they are computed again in the time that a file takes."""
_COVERAGE = 0.9
"""A prefix of which another file has this share is not written, and is deleted if it is there."""
_RATE = 400_000_000
"""Bytes per second, a cautious estimate of copying, hashing and writing."""
_FREE_DISK = 1 << 30


@dataclass(slots=True, eq=False)
class _File:
    path: Path
    header: Header
    tokens: TokenIds
    was_read: bool = False
    """Whether its prefix was given to the loop, in whose index it is now."""


class PrefixFolder:
    """The files of one model. `find` is for any thread, `save` for one at a time.

    `keeps_all`: a state can be rolled back to any of its tokens, as `Model.keeps_all` says; else
    only to a checkpoint. `n_cells` is the largest state that the context has room for.
    """

    def __init__(self, storage: PrefixStorage, *, keeps_all: bool, n_cells: int) -> None:
        self._storage, self._keeps_all, self._n_cells = storage, keeps_all, n_cells
        self._directory = Path(storage.directory)
        self._lock = threading.RLock()
        self._files: list[_File] = []
        self._listed_ns = 0

    # Finding.

    def find(self, tokens: TokenIds) -> Snapshot | None:
        """Return the prefix that saves most of computing `tokens`, once; None without one."""
        with self._lock:
            file = self._best(tokens)
            if file is None:
                return None
            file.was_read = True
        try:
            snapshot = prefix_file.read(file.path)
            os.utime(file.path)
        except DamagedFile:
            _delete(file.path)
        except (OSError, MemoryError, OtherFormat):
            pass
        else:
            return snapshot
        return None

    def _best(self, tokens: TokenIds) -> _File | None:
        unread = [file for file in self._list() if not file.was_read]
        best = max(unread, key=lambda file: self._usable(file, tokens), default=None)
        return best if best and self._usable(best, tokens) >= MIN_TOKENS else None

    def _usable(self, file: _File, tokens: TokenIds) -> int:
        """Return how many of `tokens` need not be computed with a file."""
        header = file.header
        if header.n_tokens > self._n_cells:
            return 0
        common = common_length(file.tokens, tokens)
        if self._keeps_all or common == header.n_tokens:
            return common
        lengths = (length for length, _ in header.checkpoints)
        return max((length for length in lengths if length <= common), default=0)

    def _list(self) -> list[_File]:
        """Return the files; they are listed when the directory has changed.

        The runner before may still be writing when this one begins.
        """
        try:
            changed_ns = self._directory.stat().st_mtime_ns
        except OSError:
            return self._files
        if changed_ns != self._listed_ns:
            self._listed_ns = changed_ns
            known = {file.path for file in self._files}
            paths = set(self._directory.glob(f"{self._storage.model}.*{SUFFIX}")) - known
            self._files += [file for path in paths if (file := _open(path)) is not None]
        return self._files

    # Saving.

    def covers(self, tokens: TokenIds) -> bool:
        """Whether a file has most of `tokens`; this counts as a use of it."""
        with self._lock:
            files = list(self._list())
        for file in files:
            if self._usable(file, tokens) >= _COVERAGE * len(tokens):
                with suppress(OSError):
                    os.utime(file.path)
                    return True
        return False

    def has_room(self, size: int, deadline: float) -> bool:
        """Whether a state of `size` bytes can be copied and written before `deadline`."""
        try:
            free = shutil.disk_usage(self._directory).free
        except OSError:
            return False
        return (
            size <= self._storage.max_bytes
            and size <= free - _FREE_DISK
            and is_available(size)
            and size / _RATE <= deadline - time.monotonic()
        )

    def save(self, snapshot: Snapshot, *, age: float, deadline: float) -> bool:
        """Write a file, and delete those that it makes superfluous; False when that failed.

        `age` is how many seconds ago its prefix was used.
        """
        name = hashlib.sha256(snapshot.tokens.astype("<i4").tobytes()).hexdigest()[:16]
        path = self._directory / f"{self._storage.model}.{name}{SUFFIX}"
        trim(self._directory, self._storage.max_bytes - snapshot.nbytes)
        try:
            prefix_file.write(path, snapshot, deadline=deadline)
            os.utime(path, (used := time.time() - age, used))
        except (OSError, DeadlinePassed):
            return False
        with self._lock:
            files = self._list()
            for file in list(files):
                if self._is_superfluous(file, snapshot):
                    files.remove(file)
                    if file.path != path:
                        _delete(file.path)
            if (written := _open(path)) is not None:
                files.append(written)
        trim(self._directory, self._storage.max_bytes)
        return True

    def _is_superfluous(self, file: _File, snapshot: Snapshot) -> bool:
        common = common_length(file.tokens, snapshot.tokens)
        return common >= _COVERAGE * file.header.n_tokens


def _open(path: Path) -> _File | None:
    try:
        return _File(path, *prefix_file.read_tokens(path))
    except DamagedFile:
        _delete(path)
    except (OSError, MemoryError, OtherFormat):
        pass
    return None


def trim(directory: Path, max_bytes: int) -> None:
    """Delete the least recently used files until the others have `max_bytes` or less."""
    files = sorted(_stats(directory.glob(f"*{SUFFIX}")), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > max_bytes:
            _delete(path)


def _stats(paths: Iterable[Path]) -> Iterable[tuple[float, int, Path]]:
    for path in paths:
        with suppress(OSError):
            stat = path.stat()
            yield stat.st_mtime, stat.st_size, path


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
