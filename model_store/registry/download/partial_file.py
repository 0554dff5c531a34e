"""The file that a blob is loaded into, until it is whole and gets its name."""

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
from model_store.registry.download.ledger import Ledger
from model_store.registry.parts import Part

_READ_SIZE = 1 << 20
_MOST_PIECES = 256
_MODE = 0o644

_log = logging.getLogger(__name__)


class InUse(Exception):
    """Another process is loading the same blob into the same file."""


class PartialFile:
    """A blob on its way in, at its full size from the beginning; every method blocks on the disk.

    While it is open, no other paddock writes to it. Closing it leaves what has come, for another
    time.

    Raises:
        InUse: another process has it open.
        StorageFailed: it cannot be made.
    """

    def __init__(self, layout: Layout, digest: Digest, size: int) -> None:
        self.digest, self.size = digest, size
        self._path, self._final = layout.partial(digest), layout.blob(digest)
        self._hash, self.hashed = hashlib.sha256(), 0
        self._recording = threading.Lock()
        self._buffer = bytearray(_READ_SIZE)
        with disk_errors():
            layout.make()
            self._file = _opened(self._path)
        try:
            self._lock()
            self.ledger = Ledger(self._path)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse from None
        except OSError:
            # Some network file systems know no locks; then nobody else may use the directory.
            _log.warning("the disk of the models directory cannot lock files")
        with disk_errors():
            # Between opening and locking, another process may have finished it and renamed it.
            if not _is_at(self._file, self._path):
                raise InUse

    def parts(self, size: int) -> list[Part]:
        """Return the parts as they were left, new ones of `size` bytes; raises StorageFailed."""
        with disk_errors():
            found = self.ledger.open(self.size, size)
            # Only now: what the ledger tells of beyond the end of the file was never there.
            os.ftruncate(self._file, self.size)
            return found

    def write(self, part: Part, pieces: Sequence[bytes]) -> None:
        """Append `pieces` to what is there of `part`; raises StorageFailed."""
        part.completed += self.overwrite(part.position, pieces)
        self.record(part)

    def overwrite(self, position: int, pieces: Sequence[bytes]) -> int:
        """Put `pieces` at `position`, one after another; return how many bytes that are.

        Raises:
            StorageFailed: they cannot be written.
        """
        start = position
        with disk_errors():
            for first in range(0, len(pieces), _MOST_PIECES):
                some = pieces[first : first + _MOST_PIECES]
                # Joining them all first would cost more than all the rest.
                written = os.pwritev(self._file, some, position)
                position += written
                if written < sum(map(len, some)):
                    position += self._write_rest(position, b"".join(some)[written:])
        return position - start

    def _write_rest(self, position: int, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, position)
            rest, position = rest[written:], position + written
        return len(data)

    def record(self, *parts: Part) -> None:
        """Note how far parts are; raises StorageFailed."""
        with disk_errors(), self._recording:
            for part in parts:
                self.ledger.record(part)

    def read(self, position: int, size: int) -> bytes:
        """Return `size` bytes at `position`; raises StorageFailed."""
        with disk_errors():
            return os.pread(self._file, size, position)

    def hash_to(self, stop: int) -> None:
        """Take the bytes up to `stop` into the hash; raises StorageFailed."""
        view = memoryview(self._buffer)
        with disk_errors():
            while self.hashed < stop:
                wanted = min(stop - self.hashed, len(view))
                n_bytes = os.preadv(self._file, [view[:wanted]], self.hashed)
                if not n_bytes:
                    raise StorageFailed("a file became shorter while it was written")
                self._hash.update(view[:n_bytes])
                self.hashed += n_bytes

    def hash_again(self) -> None:
        """Forget the hash and take all bytes into it; raises StorageFailed."""
        self._hash, self.hashed = hashlib.sha256(), 0
        self.hash_to(self.size)

    @property
    def found(self) -> Digest:
        """The digest of all that was taken into the hash."""
        return Digest(self._hash.hexdigest())

    def publish(self) -> None:
        """Give the file, which must be right, the name of its blob; raises StorageFailed."""
        with disk_errors():
            os.fchmod(self._file, _MODE)
            os.fsync(self._file)
            replace_durably(self._path, self._final)
            os.utime(self._final)
            self.ledger.remove()

    def discard(self) -> None:
        """Delete the file and all that is known of it."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.ledger.remove()

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageFailed("something that is no file is in the way of a download")
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
