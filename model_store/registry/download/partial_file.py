"""The partial file of a download: written at offsets, hashed, and renamed when it is right."""

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from model_store.digests import Digest
from model_store.disk import disk_errors, replace_durably
from model_store.errors import StorageFailed
from model_store.layout import Layout
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.resume_state import ResumeState
from model_store.registry.parts import Part

_READ_SIZE = 1 << 20
_HASH_STEP = 64 << 20
_MOST_PIECES = 256
_MODE = 0o644

_log = logging.getLogger(__name__)


class DownloadInUse(Exception):
    """Another process is downloading the same blob into the same file."""


class PartialFile:
    """An incomplete blob, at its full size from the beginning; every method blocks on the disk.

    While it is open, no other paddock writes to it. Closing it keeps it, so that the download can
    be resumed.

    Raises:
        DownloadInUse: another process has it open.
        StorageFailed: it cannot be created.
    """

    def __init__(self, layout: Layout, digest: Digest, size: int) -> None:
        self.digest, self.size = digest, size
        self._path, self._final = layout.partial(digest), layout.blob(digest)
        self._hash, self.hashed = hashlib.sha256(), 0
        self._state_lock = threading.Lock()
        self._buffer = bytearray(_READ_SIZE)
        with disk_errors():
            layout.make()
            self._file = _open(self._path)
        try:
            self._lock()
            self._state = ResumeState(self._path)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadInUse from None
        except OSError:
            # Some network file systems have no locks; then nobody else may use the directory.
            _log.warning("the file system of the models directory does not support file locks")
        with disk_errors():
            # Between opening and locking, another process may have finished it and renamed it.
            if not _is_at(self._file, self._path):
                raise DownloadInUse

    def parts(self, size: int) -> list[Part]:
        """Return the parts as they were left, new ones of `size` bytes; raises StorageFailed."""
        with disk_errors():
            parts = self._state.open(self.size, size)
            # Only now: what the state says about bytes beyond the end of the file is wrong.
            os.ftruncate(self._file, self.size)
            return parts

    def write(self, part: Part, pieces: Sequence[bytes]) -> None:
        """Append `pieces` to `part`; raises StorageFailed."""
        part.completed += self.overwrite(part.position, pieces)
        self.record(part)

    def overwrite(self, position: int, pieces: Sequence[bytes]) -> int:
        """Write `pieces` at `position`, one after another; return the number of bytes.

        Raises:
            StorageFailed: they cannot be written.
        """
        start = position
        with disk_errors():
            for first in range(0, len(pieces), _MOST_PIECES):
                batch = pieces[first : first + _MOST_PIECES]
                # Joining them all first would cost more than all the rest.
                written = os.pwritev(self._file, batch, position)
                position += written
                if written < sum(map(len, batch)):
                    position += self._write_rest(position, b"".join(batch)[written:])
        return position - start

    def _write_rest(self, position: int, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, position)
            rest, position = rest[written:], position + written
        return len(data)

    def reset(self, part: Part) -> None:
        """Make `part` the only one; raises StorageFailed."""
        self._state.remove()
        self.record(part)

    def record(self, *parts: Part) -> None:
        """Write the state of `parts`; raises StorageFailed."""
        with disk_errors(), self._state_lock:
            for part in parts:
                self._state.record(part)

    def read(self, position: int, size: int) -> bytes:
        """Return `size` bytes at `position`; raises StorageFailed."""
        with disk_errors():
            return os.pread(self._file, size, position)

    def hash_to(self, stop: int) -> None:
        """Hash the bytes up to `stop`; raises StorageFailed."""
        view = memoryview(self._buffer)
        with disk_errors():
            while self.hashed < stop:
                size = min(stop - self.hashed, len(view))
                n_bytes = os.preadv(self._file, [view[:size]], self.hashed)
                if not n_bytes:
                    raise StorageFailed("the file of a download was truncated by another program")
                self._hash.update(view[:n_bytes])
                self.hashed += n_bytes

    def restart_hash(self) -> None:
        """Forget what was hashed."""
        self._hash, self.hashed = hashlib.sha256(), 0

    @property
    def content_digest(self) -> Digest:
        """The digest of all that was hashed."""
        return Digest(self._hash.hexdigest())

    def publish(self) -> None:
        """Give the file, whose digest must be right, its final name; raises StorageFailed."""
        with disk_errors():
            os.fchmod(self._file, _MODE)
            os.fsync(self._file)
            replace_durably(self._path, self._final)
            os.utime(self._final)
            self._state.remove()

    def discard(self) -> None:
        """Delete the file and its state."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._state.remove()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


async def hash_to(file: PartialFile, stop: int, threads: DiskThreads) -> None:
    """Hash up to `stop` in steps, between which the caller can be cancelled."""
    while file.hashed < stop:
        await threads.run(file.hash_to, min(stop, file.hashed + _HASH_STEP))


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageFailed(
            "cannot create the download file: the path exists and is not a regular file"
        )
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
