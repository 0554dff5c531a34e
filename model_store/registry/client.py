"""The client of all registries: pulls and pushes models of one store."""

from collections.abc import AsyncGenerator

from model_store.catalog import Catalog
from model_store.disk import free_space
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.registry.config import RegistryConfig
from model_store.registry.download.blob_downloads import BlobDownloads, FreeSpace, PullEstimate
from model_store.registry.download.download import DownloadConfig
from model_store.registry.http.addresses import IsPublic, Resolve, is_public, resolve
from model_store.registry.http.registries import Registries
from model_store.registry.http.transport import STALL_SECONDS
from model_store.registry.parts import PartSizes
from model_store.registry.pull import Puller
from model_store.registry.push import Pusher
from model_store.registry.transfers import TransferProgress
from model_store.registry.upload import UPLOAD_SIZES
from model_store.registry.validation import CheckTemplate


class RegistryClient:
    """Pulls and pushes models of one store; to be used on one event loop, and closed there.

    `check_template` raises StoreError for a Go template that cannot be parsed. `prune` deletes
    blobs that only a replaced model needed. The other arguments are for tests:
    part sizes, delays, free disk space, public addresses and name resolution. For a request of an
    untrusted client, `public_only` limits connections to public addresses and allowed registries.
    """

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        config: RegistryConfig,
        *,
        check_template: CheckTemplate,
        prune: bool,
        download: DownloadConfig | None = None,
        upload_sizes: PartSizes = UPLOAD_SIZES,
        stall_seconds: float = STALL_SECONDS,
        free: FreeSpace = free_space,
        public: IsPublic = is_public,
        resolve: Resolve = resolve,
    ) -> None:
        download = download or DownloadConfig()
        self._registries = Registries(
            config, public=public, resolve=resolve, stall_seconds=stall_seconds
        )
        self._puller = Puller(
            layout,
            catalog,
            self._registries,
            BlobDownloads(layout, catalog.integrity, self._registries.threads, download, free),
            retries=download.retries,
            check_template=check_template,
            prune=prune,
        )
        self._pusher = Pusher(
            layout, catalog, self._registries, retries=download.retries, sizes=upload_sizes
        )

    def pull(
        self, name: ModelName, *, insecure: bool = False, public_only: bool = False
    ) -> AsyncGenerator[TransferProgress, None]:
        """Pull a model; see `Puller.pull`."""
        return self._puller.pull(name, insecure=insecure, public_only=public_only)

    def push(
        self, name: ModelName, *, insecure: bool = False, public_only: bool = False
    ) -> AsyncGenerator[TransferProgress, None]:
        """Push a model; see `Pusher.push`."""
        return self._pusher.push(name, insecure=insecure, public_only=public_only)

    async def estimate(
        self, name: ModelName, *, insecure: bool = False, public_only: bool = False
    ) -> PullEstimate:
        """Return what a pull would download; see `Puller.estimate`."""
        return await self._puller.estimate(name, insecure=insecure, public_only=public_only)

    async def close(self) -> None:
        """Close all connections."""
        await self._registries.close()
