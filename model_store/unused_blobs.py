"""Deletion of blobs, each only after it was proven that no model and no client needs it."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterable

from model_store.byte_cache import forget_files
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.errors import StorageFailed, StorageUnreadable
from model_store.index import ManifestFile, ManifestIndex
from model_store.layout import Layout
from model_store.leases import BlobLeases

_log = logging.getLogger(__name__)


class UnusedBlobs:
    """Deletes blobs; nothing else does. Safe for several threads.

    Hold `lock` while blobs gain or lose a manifest, so that no deletion comes in between.
    """

    def __init__(self, layout: Layout, index: ManifestIndex, leases: BlobLeases) -> None:
        self._layout, self._index, self._leases = layout, index, leases
        self._postponed: frozenset[Digest] = frozenset()
        self.lock = threading.RLock()

    def remove(self, digests: Iterable[Digest], *, min_age: float = 0.0) -> int:
        """Delete those of `digests` that nothing needs; return how many that were.

        A blob is needed if a manifest names it or somebody has a lease on it. One that was
        leased is deleted by `remove_postponed`. `min_age` spares blobs that were touched less
        than so many seconds ago.

        Raises:
            StorageUnreadable: a manifest cannot be read or is damaged, so that it is unknown
                which blobs are needed; none was deleted, and the log says why.
            StorageFailed: a file cannot be removed.
        """
        candidates = frozenset(digests)
        with self.lock:
            if not candidates:
                return 0
            used, leased = self._used(), self._leases.leased()
            self._postponed = (self._postponed | candidates & leased) - used
            unused = candidates - used - leased
            try:
                return sum(self._delete(digest, min_age) for digest in unused)
            finally:
                forget_files({self._layout.blob(digest) for digest in unused})

    def remove_postponed(self) -> None:
        """Delete blobs that were spared because of leases that have ended; logs what fails."""
        with self.lock:
            ended = self._postponed - self._leases.leased()
            self._postponed -= ended
            try:
                self.remove(ended)
            except StorageUnreadable:
                self._postponed |= ended
            except StorageFailed as e:
                _log.warning("an unused blob cannot be removed: %s", e)

    def _used(self) -> frozenset[Digest]:
        try:
            files = self._index.scan()
        except StorageUnreadable as e:
            _log.warning("unused blobs are kept, because it is unknown which are used: %s", e)
            raise
        if damaged := [_place(file) for file in files if _is_damaged(file)]:
            _log.warning("unused blobs are kept, because of damaged manifests: %s", damaged)
            _log.warning("delete these models or pull them again to free the space")
            raise StorageUnreadable("it is damaged", f"the manifest of {damaged[0]}")
        return frozenset(digest for file in files for digest in file.named)

    def _delete(self, digest: Digest, min_age: float) -> bool:
        """Delete a blob, or the link in its place; tell whether there was one."""
        path = self._layout.blob(digest)
        with disk_errors(), contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if min_age and path.lstat().st_mtime > time.time() - min_age:
                return False
            path.unlink()
            self._delete_derived(path.name)
            return True
        return False

    def _delete_derived(self, blob: str) -> None:
        """Delete the projector that was taken out of a blob."""
        # Not a pattern with the name: `re` and `fnmatch` keep each pattern that they compile.
        for path in self._layout.projectors.glob("sha256-*"):
            if path.name.startswith(f"{blob}."):
                path.unlink(missing_ok=True)


def _is_damaged(file: ManifestFile) -> bool:
    """Tell whether a file may be a manifest that names more blobs than can be read in it."""
    return file.manifest is None and not file.is_hidden


def _place(file: ManifestFile) -> str:
    return file.name.short if file.name is not None else ascii(file.path)
