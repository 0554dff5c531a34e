"""Registries as the server uses them: one client for all, from its first use to the end."""

from collections.abc import AsyncGenerator

from model_store.catalog import Catalog
from model_store.disk import free_space
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.registry.config import RegistryConfig
from model_store.registry.download.blob_downloads import BlobDownloads, FreeSpace
from model_store.registry.download.download import Tuning
from model_store.registry.http.connections import IsPublic, is_public
from model_store.registry.http.registries import Registries
from model_store.registry.http.transport import STALL_SECONDS
from model_store.registry.parts import PartSizes
from model_store.registry.progress import PullEstimate, TransferProgress
from model_store.registry.pull import Puller
from model_store.registry.push import Pusher
from model_store.registry.upload import UPLOAD_SIZES


class RegistryClient:
    """Pulls and pushes models of one store; to be used on one event loop, and closed there.

    `prune` deletes blobs that only a replaced model needed. The rest is for tests: how blobs are
    cut, how long is waited, what counts as a full disk and as a public address.
    """

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        config: RegistryConfig,
        *,
        prune: bool,
        tuning: Tuning | None = None,
        upload_sizes: PartSizes = UPLOAD_SIZES,
        stall_seconds: float = STALL_SECONDS,
        free: FreeSpace = free_space,
        public: IsPublic = is_public,
    ) -> None:
        tuning = tuning or Tuning()
        self._registries = Registries(config, public=public, stall_seconds=stall_seconds)
        self._puller = Puller(
            layout,
            catalog,
            self._registries,
            BlobDownloads(layout, self._registries.workers, tuning, free),
            patience=tuning.patience,
            prune=prune,
        )
        self._pusher = Pusher(
            layout, catalog, self._registries, patience=tuning.patience, sizes=upload_sizes
        )

    def pull(
        self, name: ModelName, *, insecure: bool = False
    ) -> AsyncGenerator[TransferProgress, None]:
        """Pull a model; see `Puller.pull`."""
        return self._puller.pull(name, insecure=insecure)

    def push(
        self, name: ModelName, *, insecure: bool = False
    ) -> AsyncGenerator[TransferProgress, None]:
        """Push a model; see `Pusher.push`."""
        return self._pusher.push(name, insecure=insecure)

    async def estimate(self, name: ModelName, *, insecure: bool = False) -> PullEstimate:
        """Return what a pull would load; see `Puller.estimate`."""
        return await self._puller.estimate(name, insecure=insecure)

    async def close(self) -> None:
        """Close all connections."""
        await self._registries.close()
