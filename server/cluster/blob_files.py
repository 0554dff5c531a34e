"""Blobs on a machine of a cluster: received once each, verified, resumed, oldest deleted first.

They lie in a directory of their own beside the machine's models. A blob that the machine's own
store has is linked instead of transferred.
"""

import fcntl
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from model_store.digests import Digest
from model_store.disk import disk_errors, is_regular
from model_store.errors import StorageFailed
from model_store.layout import Layout

STALL_SECONDS = 30.0
_CHUNK = 1 << 20
_PARTIAL = ".partial"
_BLOB_NAME = re.compile(r"sha256-[0-9a-f]{64}\Z")
_SPARE_SHARE = 20
"""One twentieth of the disk stays free."""


class BlobRejected(Exception):
    """The bytes that were received are not those of the digest."""


class BlobFiles:
    """The blobs below `root`; `own` is the layout of the machine's own models."""

    def __init__(
        self,
        root: Path,
        own: Layout,
        disk_usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        self.layout = Layout(root)
        self._own, self._disk_usage = own, disk_usage
        self._locks: dict[Digest, threading.Lock] = {}
        self._guard = threading.Lock()

    def prepare(self) -> None:
        """Create the directory for its owner alone; raises StorageFailed."""
        with disk_errors():
            self.layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.layout.create()

    def names(self) -> tuple[str, ...]:
        """Return the names of all blobs that need no transfer."""
        folders = [self.layout.blobs, self._own.blobs]
        names = {path.name for each in folders if each.is_dir() for path in each.iterdir()}
        return tuple(name for name in names if _BLOB_NAME.match(name))

    def receive(
        self, digest: Digest, size: int, begin: Callable[[int], socket.socket | None]
    ) -> None:
        """Let a blob of `size` bytes be here; blocks, for as long as others receive it.

        `begin` is called with the number of bytes that are here, and returns the socket with the
        others; None where there are none.

        Raises:
            BlobRejected: the bytes are others; they are deleted.
            StorageFailed: they cannot be written.
            OSError, EOFError: the connection broke; what has arrived is kept.
        """
        with self._lock(digest):
            path = self.layout.blob(digest)
            if self._has(path, size) or self._link(digest, path, size):
                os.utime(path)
                begin(size)
                return
            partial = path.with_name(path.name + _PARTIAL)
            with disk_errors():
                self._make_room(size - (partial.stat().st_size if partial.exists() else 0))
            self._download(partial, digest, size, begin)
            with disk_errors():
                partial.replace(path)

    def _download(
        self, partial: Path, digest: Digest, size: int, begin: Callable[[int], socket.socket | None]
    ) -> None:
        with disk_errors():
            file = partial.open("a+b")
        with file:
            # Another agent of this machine may use the same directory.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            checksum = hashlib.sha256()
            while data := file.read(_CHUNK):
                checksum.update(data)
            offset = file.tell()
            if offset <= size:
                sock = begin(offset)
                if sock is not None:
                    _copy(sock, size - offset, checksum.update, file.write)
            with disk_errors():
                file.flush()
                os.fsync(file.fileno())
        if checksum.hexdigest() != digest.hex:
            partial.unlink(missing_ok=True)
            raise BlobRejected

    def _lock(self, digest: Digest) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(digest, threading.Lock())

    def _has(self, path: Path, size: int) -> bool:
        return is_regular(path) and path.stat().st_size == size

    def _link(self, digest: Digest, path: Path, size: int) -> bool:
        """Link a blob of the machine's own store; return whether it is here now."""
        own = self._own.blob(digest)
        if not self._has(own, size):
            return False
        with suppress(OSError):
            path.unlink(missing_ok=True)
            os.link(own, path)
            return True
        return False

    def _make_room(self, size: int) -> None:
        """Delete the blobs that were needed least recently, if the disk has no room for another.

        Raises StorageFailed where that does not help.
        """
        total, _, free = self._disk_usage(self.layout.blobs)
        missing = size + total // _SPARE_SHARE - free
        by_age = sorted(self.layout.blobs.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in by_age:
            if missing <= 0:
                return
            # A runner that has it open keeps it.
            missing -= path.stat().st_size if path.stat().st_nlink == 1 else 0
            path.unlink(missing_ok=True)
        if size > self._disk_usage(self.layout.blobs)[2]:
            raise StorageFailed("the disk is full")


def _copy(
    sock: socket.socket,
    size: int,
    update: Callable[[memoryview], object],
    write: Callable[[memoryview], object],
) -> None:
    """Copy `size` bytes from a socket to a file and a checksum."""
    buffer = memoryview(bytearray(_CHUNK))
    while size:
        n = sock.recv_into(buffer[: min(size, _CHUNK)])
        if not n:
            raise EOFError
        update(buffer[:n])
        with disk_errors():
            write(buffer[:n])
        size -= n
