"""Scratch files beside the blobs, deleted unless they are published."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Self

from model_store.blobs import StoredBlob, publish_file
from model_store.create.spec import CreateProgress
from model_store.digests import Digest
from model_store.disk import disk_errors, require_space
from model_store.layout import BLOB_SCRATCH_PREFIX, Layout

_READ_SIZE = 2**24


class Scratch:
    """Creates scratch files; on exit deletes those that were not published."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._paths: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for path in self._paths:
            with contextlib.suppress(OSError):
                path.unlink()

    def new(self, *, size: int = 0) -> Path:
        """Return the path of a new empty file that will have about `size` bytes.

        Raises:
            NoSpace: the disk has no room for it.
            StorageFailed: it cannot be made.
        """
        with disk_errors():
            self._layout.make()
            require_space(self._layout.blobs, size)
            descriptor, path = tempfile.mkstemp(prefix=BLOB_SCRATCH_PREFIX, dir=self._layout.blobs)
            os.close(descriptor)
        self._paths.append(Path(path))
        return self._paths[-1]

    def publish(self, path: Path, status: str) -> Generator[CreateProgress, None, StoredBlob]:
        """Make a finished file a blob; tells `status` now and then. Raises StorageFailed."""
        sha256 = hashlib.sha256()
        with disk_errors(), path.open("rb", buffering=0) as file:
            while data := file.read(_READ_SIZE):
                sha256.update(data)
                yield CreateProgress(status)
        digest = Digest(sha256.hexdigest())
        with disk_errors():
            return StoredBlob(digest, is_new=publish_file(self._layout, path, digest))
