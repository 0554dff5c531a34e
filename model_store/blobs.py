"""Blobs: written under a temporary name, verified, then published under their digest.

Nothing here writes to a blob that is there: one with other content is replaced. Only regular files
count: a link, pipe or device in the directory is neither opened nor followed.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from model_store.digests import Digest
from model_store.disk import (
    disk_errors,
    is_regular,
    open_regular,
    read_errors,
    replace_durably,
)
from model_store.errors import BlobNotFound, DigestMismatch
from model_store.layout import BLOB_SCRATCH_PREFIX, Layout
from model_store.scratch_files import open_scratch

LARGEST_TEXT = 16 * 2**20
"""Bytes; the largest layer that is read as a whole (templates, messages, licences …)."""

_MODE = 0o644
_CHUNK = 1 << 20


class StoredBlob(NamedTuple):
    """A blob after its bytes were handed in; `is_new` is False when it was there before."""

    digest: Digest
    is_new: bool


class BlobWriter:
    """One blob on its way in; nothing is visible before `commit`.

    As a context manager it discards what was not committed. `expected` None accepts any content.
    """

    def __init__(self, layout: Layout, expected: Digest | None) -> None:
        self._layout, self._expected = layout, expected
        self._hash = hashlib.sha256()
        with disk_errors():
            layout.make()
            descriptor, self._path = self._open()
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self.size = 0

    def _open(self) -> tuple[int, Path]:
        return open_scratch(self._layout.blobs, BLOB_SCRATCH_PREFIX)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`; raises StorageFailed, after which nothing is left on the disk."""
        rest = memoryview(data)
        self._hash.update(rest)
        self.size += rest.nbytes
        with self._discarded_on_failure():
            while rest:
                rest = rest[self._file.write(rest) :]

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(self._hash.hexdigest())

    def commit(self) -> StoredBlob:
        """Publish the blob under its digest.

        Raises:
            DigestMismatch: the bytes are not those announced; they are kept under their true name.
            StorageFailed: they could not be written; nothing is left.
        """
        blob = StoredBlob(self.digest, is_new=self._publish())
        if self._expected is not None and blob.digest != self._expected:
            raise DigestMismatch(str(self._expected), str(blob.digest))
        return blob

    def _publish(self) -> bool:
        with self._discarded_on_failure():
            is_new = publish_file(self._layout, self._path, self.digest)
        self.discard()
        return is_new

    @contextlib.contextmanager
    def _discarded_on_failure(self) -> Iterator[None]:
        try:
            with disk_errors():
                yield
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written; after `commit` this does nothing."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        # Only now: closing ends the lock that keeps others from removing the file.
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()


def publish_file(layout: Layout, path: Path, digest: Digest) -> bool:
    """Give the file at `path`, whose digest was computed, its name; tell whether it is new.

    A blob with the same bytes that is there already is kept, and the file at `path` with it; one
    with other bytes is damaged and is replaced. Raises OSError.
    """
    final = layout.blob(digest)
    if _is_same(path, final):
        os.utime(final, follow_symlinks=False)
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, _MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    replace_durably(path, final)
    return True


def _is_same(written: Path, final: Path) -> bool:
    try:
        with open_regular(final) as old, open_regular(written) as new:
            if os.fstat(old.fileno()).st_size != os.fstat(new.fileno()).st_size:
                return False
            while data := new.read(_CHUNK):
                if old.read(_CHUNK) != data:
                    return False
            return True
    except OSError:
        return False


def put_blob(layout: Layout, data: bytes) -> StoredBlob:
    """Store `data`; raises StorageFailed."""
    with BlobWriter(layout, None) as writer:
        writer.write(data)
        return writer.commit()


def blob_path(layout: Layout, digest: Digest) -> Path:
    """Return the path of a blob that is there; raises BlobNotFound or StorageUnreadable."""
    path = layout.blob(digest)
    if not is_regular(path):
        raise BlobNotFound(str(digest))
    return path


def read_text(path: Path) -> str:
    """Return the text in the blob at `path`, of a long one the first LARGEST_TEXT bytes.

    Raises:
        FileNotFoundError: it is not there.
        StorageUnreadable: it cannot be read.
    """
    with read_errors(f"the blob {path.name}"), open_regular(path) as file:
        return file.read(LARGEST_TEXT).decode("utf-8", "replace")


def read_blob(layout: Layout, digest: Digest) -> bytes:
    """Return a small blob's bytes, at most LARGEST_TEXT + 1 of them.

    Raises:
        BlobNotFound: it is not there.
        StorageUnreadable: it cannot be read.
    """
    try:
        with read_errors(f"the blob {digest}"), open_regular(layout.blob(digest)) as file:
            return file.read(LARGEST_TEXT + 1)
    except FileNotFoundError as e:
        raise BlobNotFound(str(digest)) from e
