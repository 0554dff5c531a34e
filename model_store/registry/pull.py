"""Pulling a model: its manifest, the blobs that are missing, and the installation, step by step."""

from collections.abc import AsyncGenerator

from model_store.catalog import Catalog
from model_store.errors import BlobNotFound, StorageFailed, StoreError
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.registry.config import Endpoint, is_on_hub
from model_store.registry.download.blob_downloads import BlobDownloads
from model_store.registry.errors import (
    ManifestUnavailable,
    RegistryBusy,
    RegistryRefused,
)
from model_store.registry.http.registries import Registries
from model_store.registry.http.repository import Patience, Repository
from model_store.registry.hub.offer import find_on_hub
from model_store.registry.offer import Offer, RegistryOffer
from model_store.registry.progress import PullEstimate, TransferProgress

_MANIFEST_TRIES = 3
_ROUNDS = 3
_PREFIX = 12


class Puller:
    """Pulls models into a store; `prune` deletes the blobs that only the replaced model needed."""

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        registries: Registries,
        loader: BlobDownloads,
        *,
        patience: Patience,
        prune: bool,
    ) -> None:
        self._layout, self._catalog = layout, catalog
        self._registries, self._workers = registries, registries.workers
        self._loader, self._patience, self._prune = loader, patience, prune

    async def pull(
        self, name: ModelName, *, insecure: bool
    ) -> AsyncGenerator[TransferProgress, None]:
        """Pull `name`, telling each step; closing the iterator stops it and keeps what came.

        Raises:
            ManifestUnavailable: the registry does not give the manifest.
            NotEnoughSpace: what is missing does not fit on the disk.
            RegistryError, StorageFailed: a blob cannot be loaded.
        """
        yield TransferProgress("pulling manifest")
        name = await self._workers.run(self._catalog.installed_name, name)
        replaced = await self._workers.run(self._catalog.named_by, name)
        offer = await self._offer(name, insecure=insecure)
        await self._workers.run(self._loader.check_space, offer.blobs)
        for left in reversed(range(_ROUNDS)):
            async for progress in self._load(offer):
                yield progress
            yield TransferProgress("verifying sha256 digest")
            yield TransferProgress("writing manifest")
            try:
                await self._workers.run(offer.install, self._catalog, name)
                break
            except BlobNotFound:
                # Somebody deleted a model that had it while the rest was loading.
                if not left:
                    raise
        needed = await self._workers.run(self._catalog.named_by, name)
        if self._prune and (unused := replaced - needed):
            yield TransferProgress("removing unused layers")
            try:
                await self._workers.run(self._catalog.remove_unreferenced, unused)
            except StorageFailed as e:
                yield TransferProgress(f"couldn't remove unused layers: {e.reason}")
        yield TransferProgress("success")

    async def _load(self, offer: Offer) -> AsyncGenerator[TransferProgress, None]:
        for blob in offer.blobs:
            status = f"pulling {blob.digest.hex[:_PREFIX]}"
            async for completed in self._loader.load(offer, blob):
                yield TransferProgress(status, str(blob.digest), blob.size, completed)

    async def estimate(self, name: ModelName, *, insecure: bool) -> PullEstimate:
        """Return what a pull would load; raises ManifestUnavailable or StorageFailed."""
        name = await self._workers.run(self._catalog.installed_name, name)
        offer = await self._offer(name, insecure=insecure)
        return await self._workers.run(self._loader.estimate, offer.blobs)

    async def _offer(self, name: ModelName, *, insecure: bool) -> Offer:
        """Return what the first registry that knows `name` has to offer."""
        trouble: StoreError | None = None
        try:
            if is_on_hub(name) and not insecure:
                return await find_on_hub(self._layout, self._registries, name)
            for endpoint in self._registries.config.sources(name, insecure=insecure):
                try:
                    return await self._registered(name, endpoint)
                except StoreError as e:
                    # A mirror need not have it; what the last one says is what counts.
                    trouble = e
        except StoreError as e:
            trouble = e
        assert trouble is not None
        raise ManifestUnavailable(trouble)

    async def _registered(self, name: ModelName, endpoint: Endpoint) -> RegistryOffer:
        path = f"{name.namespace}/{name.model}"
        repository = self._registries.repository(endpoint, path)
        data = await self._manifest(repository, name.tag)
        return RegistryOffer(self._registries.transport, repository, name, data)

    async def _manifest(self, repository: Repository, tag: str) -> bytes:
        failures = 0
        while True:
            try:
                return await repository.manifest(tag)
            except RegistryRefused as e:
                failures += 1
                is_busy = isinstance(e, RegistryBusy)
                if failures == _MANIFEST_TRIES or not (is_busy or e.status >= 500):
                    raise
                asked = e.wait if isinstance(e, RegistryBusy) else None
                await self._patience.sleep(self._patience.wait(failures, asked))
