"""Resumable uploads: what has arrived of a blob is kept when its connection breaks.

A partial upload is a file beside the blobs, locked while somebody writes to it. A request that
resumes it takes it over from an earlier one, whose connection may have broken without a sign. Their
number is bounded here, their age in `prune`.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from model_store.blobs import BlobWriter, StoredBlob
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.errors import DigestMismatch, StorageFailed, UploadConflict
from model_store.layout import UPLOAD_SUFFIX, Layout
from model_store.scratch_files import open_resumable, remove_abandoned

MOST_UPLOADS = 16
"""Partial uploads that are kept; a further one takes the place of the least recent."""

_CHUNK = 1 << 20


class PartialUpload(BlobWriter):
    """The writer of a blob that `keep` leaves on the disk, so that another one can go on with it.

    As a context manager it keeps what was not committed.
    """

    def __init__(self, layout: Layout, digest: Digest) -> None:
        """Open what has arrived; raises UploadConflict or StorageFailed."""
        self._digest = digest
        self._lock = threading.Lock()
        self.is_closed = False
        super().__init__(layout, digest)
        try:
            with disk_errors():
                self.size = os.fstat(self._file.fileno()).st_size
        except StorageFailed:
            self._file.close()
            raise

    def _open(self) -> tuple[int, Path]:
        path = self._layout.upload(self._digest)
        try:
            return open_resumable(path), path
        except BlockingIOError:
            raise UploadConflict(
                "another server receives this blob now; send it again later"
            ) from None

    def go_on_at(self, offset: int) -> None:
        """Hash what has arrived, so that only the rest has to be received.

        Raises:
            UploadConflict: it is not `offset` bytes, or another request has taken over.
            StorageFailed: it cannot be read.
        """
        if offset != self.size:
            reason = f"{self.size} bytes of this blob have arrived; send the rest from there"
            raise UploadConflict(reason, self.size)
        size = 0
        while data := self._read():
            self._hash.update(data)
            size += len(data)
        self.size = size

    def _read(self) -> bytes:
        with self._writing(), disk_errors():
            return self._file.read(_CHUNK)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`; raises UploadConflict too, when another request has taken over."""
        with self._writing():
            super().write(data)

    def commit(self) -> StoredBlob:
        """Publish the blob.

        Raises:
            DigestMismatch: the bytes are not those of the digest; nothing is left of them.
            UploadConflict: another request has taken over.
            StorageFailed: they could not be written; nothing is left.
        """
        with self._writing():
            if self.digest != self._digest:
                self.discard()
                raise DigestMismatch(str(self._digest), str(self.digest))
            return super().commit()

    def keep(self) -> None:
        """Close the file, and leave it for the next request; after `commit` this does nothing."""
        self.is_closed = True  # now, so that a thread that reads or writes ends at its next piece
        with self._lock:
            if not self.size:
                self.discard()
            with contextlib.suppress(OSError):
                self._file.close()

    def discard(self) -> None:
        """Remove what has arrived; after `commit` this does nothing."""
        self.is_closed = True
        super().discard()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            if self.is_closed:
                raise UploadConflict("a later request has taken over this upload")
            yield

    def __exit__(self, *_: object) -> None:
        self.keep()


class PartialUploads:
    """The partial uploads of a store; safe for several threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._current: dict[Digest, PartialUpload] = {}
        self._lock = threading.Lock()

    def offset(self, digest: Digest) -> int:
        """Return how many bytes of a blob have arrived; 0 where there is no upload."""
        try:
            return self._layout.upload(digest).lstat().st_size
        except OSError:
            return 0

    def resume(self, digest: Digest, offset: int) -> PartialUpload:
        """Return the writer of a blob of which `offset` bytes have arrived.

        Raises:
            UploadConflict: another number of bytes has arrived, or another server receives it.
            StorageFailed: the file cannot be opened or read.
        """
        with self._lock:
            if (earlier := self._current.pop(digest, None)) is not None:
                earlier.keep()
            self._current = {d: u for d, u in self._current.items() if not u.is_closed}
            self._make_room(digest)
            upload = self._current[digest] = PartialUpload(self._layout, digest)
        try:
            upload.go_on_at(offset)
        except BaseException:
            upload.keep()
            raise
        return upload

    def _make_room(self, digest: Digest) -> None:
        """Remove the least recent uploads, so that there is room for that of `digest`."""
        files = []
        with disk_errors():
            for path in self._layout.blobs.glob(f"sha256-*{UPLOAD_SUFFIX}"):
                with contextlib.suppress(FileNotFoundError):
                    files.append((path.lstat().st_mtime, path))
        files = sorted(file for file in files if file[1] != self._layout.upload(digest))
        for _, path in files[: max(0, len(files) + 1 - MOST_UPLOADS)]:
            remove_abandoned(path)
