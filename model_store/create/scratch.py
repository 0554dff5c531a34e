"""Scratch files beside the blobs, deleted unless they are published."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Self

from model_store.blobs import StoredBlob, publish_file, put_blob
from model_store.create.spec import CreateProgress
from model_store.digests import Digest
from model_store.disk import disk_errors, require_space
from model_store.layout import BLOB_SCRATCH_PREFIX, Layout
from model_store.scratch_files import open_scratch

_READ_SIZE = 2**24


class Scratch:
    """Creates scratch files; on exit deletes those that were not published.

    `hold` is called with the digest of each file before it becomes a blob.
    """

    def __init__(self, layout: Layout, hold: Callable[[Digest], None]) -> None:
        self._layout, self._hold = layout, hold
        self._files: list[tuple[Path, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for path, descriptor in self._files:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def new(self, *, size: int = 0) -> Path:
        """Return the path of a new empty file that will have about `size` bytes.

        Raises:
            NoSpace: the disk has no room for it.
            StorageFailed: it cannot be made.
        """
        with disk_errors():
            self._layout.make()
            require_space(self._layout.blobs, size)
            descriptor, path = open_scratch(self._layout.blobs, BLOB_SCRATCH_PREFIX)
        # The descriptor stays open: it locks the file while others write to it.
        self._files.append((path, descriptor))
        return path

    def put(self, data: bytes) -> StoredBlob:
        """Make `data` a blob; raises StorageFailed."""
        self._hold(Digest.of(data))
        return put_blob(self._layout, data)

    def publish(self, path: Path, status: str) -> Generator[CreateProgress, None, StoredBlob]:
        """Make a finished file a blob; tells `status` now and then. Raises StorageFailed."""
        sha256 = hashlib.sha256()
        with disk_errors(), path.open("rb", buffering=0) as file:
            while data := file.read(_READ_SIZE):
                sha256.update(data)
                yield CreateProgress(status)
        digest = Digest(sha256.hexdigest())
        self._hold(digest)
        with disk_errors():
            return StoredBlob(digest, is_new=publish_file(self._layout, path, digest))
