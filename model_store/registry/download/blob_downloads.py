"""Bringing blobs into the store, each at most once at a time, and only where there is room."""

from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

from model_store.blobs import put_blob
from model_store.digests import Digest
from model_store.disk import disk_errors, free_space, is_regular
from model_store.layout import Layout
from model_store.registry.download.download import Download, Tuning
from model_store.registry.download.ledger import Ledger
from model_store.registry.errors import AnswerInvalid, NotEnoughSpace, RegistryError
from model_store.registry.offer import Offer, OfferedBlob
from model_store.registry.progress import PullEstimate
from model_store.registry.shared_transfers import Transfers
from model_store.registry.workers import Workers

_TOLD_EVERY_SECONDS = 0.1

FreeSpace = Callable[[Path], int]
"""Tells how many bytes the disk of a directory has left."""


class BlobDownloads:
    """Loads blobs; clients that want the same one share a download."""

    def __init__(
        self, layout: Layout, workers: Workers, tuning: Tuning, free: FreeSpace = free_space
    ) -> None:
        self._layout, self._workers, self._tuning, self._free = layout, workers, tuning, free
        self._transfers: Transfers[Download] = Transfers()

    def has(self, blob: OfferedBlob) -> bool:
        """Tell whether a blob is there; blocks on the disk.

        Another size means that a crash cut off what some other program wrote there.
        """
        path = self._layout.blob(blob.digest)
        return is_regular(path) and path.stat().st_size == blob.size

    def estimate(self, blobs: Iterable[OfferedBlob]) -> PullEstimate:
        """Return how much of `blobs` is here; blocks on the disk. Raises StorageFailed."""
        with disk_errors():
            self._layout.make()
        wanted = tuple(blobs)
        here = sum(blob.size if self.has(blob) else self._begun(blob) for blob in wanted)
        total = sum(blob.size for blob in wanted)
        with disk_errors():
            return PullEstimate(total, here, self._free(self._layout.blobs))

    def _begun(self, blob: OfferedBlob) -> int:
        return Ledger(self._layout.partial(blob.digest)).completed(blob.size)

    def check_space(self, blobs: Iterable[OfferedBlob]) -> None:
        """Make sure that what is missing will fit; raises NotEnoughSpace or StorageFailed."""
        found = self.estimate(blobs)
        if found.missing > found.free:
            raise NotEnoughSpace(found.missing, found.free)

    async def load(self, offer: Offer, blob: OfferedBlob) -> AsyncGenerator[int, None]:
        """Bring a blob here; yields how many bytes of it are, and all of them in the end.

        Raises what `Download.run` raises.
        """
        if await self._workers.run(self.has, blob):
            yield blob.size
            return
        if not blob.size:
            await self._workers.run(self._put_nothing, blob.digest)
            yield 0
            return
        is_own = False
        while not is_own:
            async with self._transfers.join(
                blob.digest, lambda: self._download(offer, blob)
            ) as transfer:
                is_own = transfer.is_own
                try:
                    while not await transfer.wait(_TOLD_EVERY_SECONDS):
                        yield transfer.job.completed
                    break
                except RegistryError:
                    # What failed for somebody else, perhaps from elsewhere, gets a try of its own.
                    if is_own:
                        raise
        yield blob.size

    def _download(self, offer: Offer, blob: OfferedBlob) -> Download:
        return Download(self._layout, self._workers, blob.digest, offer.source(blob), self._tuning)

    def _put_nothing(self, digest: Digest) -> None:
        if digest != Digest.of(b""):
            raise AnswerInvalid("the manifest states no size for a layer")
        put_blob(self._layout, b"")
