"""Blob downloads into the store: each blob once at a time, and only if the disk has room."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from model_store.blobs import put_blob
from model_store.digests import Digest
from model_store.disk import disk_errors, free_space, is_regular
from model_store.integrity import BlobIntegrity
from model_store.layout import Layout
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.download import Download, DownloadConfig
from model_store.registry.download.resume_state import ResumeState
from model_store.registry.errors import InvalidResponse, NotEnoughSpace, RegistryError
from model_store.registry.remote_model import BlobDescriptor, RemoteModel
from model_store.registry.transfers import SharedTransfers
from model_store.thread_calls import end_of

_PROGRESS_SECONDS = 0.1

FreeSpace = Callable[[Path], int]
"""Returns how many bytes the disk of a directory has left."""


class _HashingCancelled(Exception):
    """Nobody waits any more for the digest of a blob."""


@dataclass(frozen=True, slots=True)
class PullEstimate:
    """Bytes of a model: `completed` of `total` are here; `free` are left on the disk."""

    total: int
    completed: int
    free: int

    @property
    def missing(self) -> int:
        """Bytes that a pull would download."""
        return self.total - self.completed


class BlobDownloads:
    """Downloads blobs; clients that need the same one share a download."""

    def __init__(
        self,
        layout: Layout,
        integrity: BlobIntegrity,
        threads: DiskThreads,
        config: DownloadConfig,
        free: FreeSpace = free_space,
    ) -> None:
        self._layout, self._integrity, self._threads = layout, integrity, threads
        self._config, self._free = config, free
        self._transfers: SharedTransfers[Download] = SharedTransfers()

    def has(self, blob: BlobDescriptor) -> bool:
        """Return whether a blob is in the store; blocks on the disk.

        Another size means that a crash truncated what some other program wrote there.
        """
        path = self._layout.blob(blob.digest)
        return is_regular(path) and path.stat().st_size == blob.size

    def missing(self, blobs: Iterable[BlobDescriptor]) -> frozenset[Digest]:
        """Return the digests of the blobs that are not in the store; blocks on the disk."""
        return frozenset(blob.digest for blob in blobs if not self.has(blob))

    def estimate(self, blobs: Iterable[BlobDescriptor]) -> PullEstimate:
        """Return how much of `blobs` is here; blocks on the disk. Raises StorageFailed."""
        with disk_errors():
            self._layout.make()
        blobs = tuple(blobs)
        with disk_errors():
            completed = sum(blob.size if self.has(blob) else self._partial(blob) for blob in blobs)
        total = sum(blob.size for blob in blobs)
        with disk_errors():
            return PullEstimate(total, completed, self._free(self._layout.blobs))

    def _partial(self, blob: BlobDescriptor) -> int:
        return ResumeState(self._layout.partial(blob.digest)).completed(blob.size)

    def check_space(self, blobs: Iterable[BlobDescriptor]) -> None:
        """Check that what is missing will fit; raises NotEnoughSpace or StorageFailed."""
        estimate = self.estimate(blobs)
        if estimate.missing > estimate.free:
            raise NotEnoughSpace(estimate.missing, estimate.free)

    async def download(self, model: RemoteModel, blob: BlobDescriptor) -> AsyncGenerator[int, None]:
        """Download a blob; yields how many bytes of it are here, and all of them in the end.

        Raises what `Download.run` raises.
        """
        if await self._has_intact(blob):
            yield blob.size
            return
        if not blob.size:
            await self._threads.run(self._put_empty, blob.digest)
            yield 0
            return
        is_own = False
        while not is_own:
            async with self._transfers.join(
                blob.digest, lambda: self._download(model, blob)
            ) as transfer:
                is_own = transfer.is_own
                try:
                    while not await transfer.wait(_PROGRESS_SECONDS):
                        yield transfer.job.completed
                    break
                except RegistryError:
                    # Another client's download failed, perhaps from elsewhere: try our own.
                    if is_own:
                        raise
        await self._threads.run(self._integrity.trust, blob.digest)
        yield blob.size

    async def _has_intact(self, blob: BlobDescriptor) -> bool:
        """Return whether a blob is here and intact; cancelling the caller ends the hashing."""
        is_cancelled = threading.Event()

        def progress(_: int) -> None:
            if is_cancelled.is_set():
                raise _HashingCancelled

        def check() -> bool:
            return self.has(blob) and self._integrity.check(blob.digest, progress) is None

        work = asyncio.ensure_future(self._threads.run(check))
        return await end_of(work, on_cancel=is_cancelled.set)

    def _download(self, model: RemoteModel, blob: BlobDescriptor) -> Download:
        return Download(self._layout, self._threads, blob.digest, model.source(blob), self._config)

    def _put_empty(self, digest: Digest) -> None:
        if digest != Digest.of(b""):
            raise InvalidResponse("the manifest has no size for a layer")
        put_blob(self._layout, b"")
