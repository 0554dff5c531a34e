"""Pull a model: manifest, missing blobs, installation."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from model_store.catalog import Catalog
from model_store.errors import BlobNotFound, StorageFailed, StoreError
from model_store.layout import Layout
from model_store.names import ModelName
from model_store.registry.config import Endpoint, is_on_hub
from model_store.registry.download.blob_downloads import BlobDownloads, PullEstimate
from model_store.registry.errors import (
    ManifestUnavailable,
    ModelUnsupported,
    RegistryRefused,
    TransferFailed,
)
from model_store.registry.http.registries import Registries
from model_store.registry.hub.model import find_on_hub
from model_store.registry.remote_model import RegistryModel, RemoteModel
from model_store.registry.retries import RetryPolicy, with_retries
from model_store.registry.transfers import TransferProgress
from model_store.registry.validation import CheckTemplate

_MANIFEST_TRIES = 3
_ROUNDS = 3
_SHOWN_DIGITS = 12


class Puller:
    """Pulls models into a store; `prune` deletes blobs that only the replaced model needed."""

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        registries: Registries,
        downloads: BlobDownloads,
        *,
        retries: RetryPolicy,
        check_template: CheckTemplate,
        prune: bool,
    ) -> None:
        self._layout, self._catalog = layout, catalog
        self._registries, self._threads = registries, registries.threads
        self._downloads, self._prune = downloads, prune
        self._check_template = check_template
        self._manifest_retries = replace(retries, tries=min(retries.tries, _MANIFEST_TRIES))

    async def pull(
        self, name: ModelName, *, insecure: bool, public_only: bool
    ) -> AsyncGenerator[TransferProgress, None]:
        """Pull `name`, yielding each step; closing the iterator stops it and keeps what arrived.

        Raises:
            ManifestUnavailable: the manifest cannot be fetched or used.
            NotEnoughSpace: what is missing does not fit on the disk.
            RegistryError, StorageFailed: a blob cannot be downloaded.
        """
        yield TransferProgress("pulling manifest")
        name = await self._threads.run(self._catalog.installed_name, name)
        replaced = await self._threads.run(self._catalog.named_by, name)
        model = await self._find(name, insecure=insecure, public_only=public_only)
        await self._threads.run(self._downloads.check_space, model.blobs)
        missing = await self._threads.run(self._downloads.missing, model.blobs)
        try:
            with self._catalog.leases.hold(blob.digest for blob in model.blobs):
                await self._check_texts(model)
                async for progress in self._download_and_install(model, name):
                    yield progress
        except ModelUnsupported:
            with contextlib.suppress(StorageFailed):
                await self._threads.run(self._catalog.remove_unreferenced, missing)
            raise
        await self._threads.run(self._catalog.remove_postponed)
        needed = await self._threads.run(self._catalog.named_by, name)
        if self._prune and (unused := replaced - needed):
            yield TransferProgress("removing unused layers")
            try:
                await self._threads.run(self._catalog.remove_unreferenced, unused)
            except StorageFailed as e:
                yield TransferProgress(f"couldn't remove unused layers: {e.reason}")
        yield TransferProgress("success")

    async def _check_texts(self, model: RemoteModel) -> None:
        """Download the small layers first: they may spare the download of the large ones."""
        for blob in model.texts:
            async for _ in self._downloads.download(model, blob):
                pass
        await self._threads.run(model.check_texts)

    async def _download_and_install(
        self, model: RemoteModel, name: ModelName
    ) -> AsyncGenerator[TransferProgress, None]:
        for rounds_left in reversed(range(_ROUNDS)):
            async for progress in self._download(model):
                yield progress
            yield TransferProgress("verifying sha256 digest")
            yield TransferProgress("writing manifest")
            try:
                await self._threads.run(model.install, self._catalog, name)
                return
            except BlobNotFound:
                # Another program that shares the directory deleted it meanwhile.
                if not rounds_left:
                    raise

    async def _download(self, model: RemoteModel) -> AsyncGenerator[TransferProgress, None]:
        for blob in model.blobs:
            status = f"pulling {blob.digest.hex[:_SHOWN_DIGITS]}"
            async for completed in self._downloads.download(model, blob):
                yield TransferProgress(status, str(blob.digest), blob.size, completed)

    async def estimate(self, name: ModelName, *, insecure: bool, public_only: bool) -> PullEstimate:
        """Return what a pull would download; raises ManifestUnavailable or StorageFailed."""
        name = await self._threads.run(self._catalog.installed_name, name)
        model = await self._find(name, insecure=insecure, public_only=public_only)
        return await self._threads.run(self._downloads.estimate, model.blobs)

    async def _find(self, name: ModelName, *, insecure: bool, public_only: bool) -> RemoteModel:
        """Return the model that the first registry with `name` has; raises ManifestUnavailable."""
        error: StoreError | None = None
        try:
            if is_on_hub(name) and not insecure:
                return await find_on_hub(self._layout, self._registries, name, self._check_template)
            for endpoint in self._registries.config.sources(name, insecure=insecure):
                try:
                    return await self._find_at(name, endpoint, public_only=public_only)
                except StoreError as e:
                    # A mirror need not have it; the error of the registry itself counts.
                    error = e
        except StoreError as e:
            error = e
        assert error is not None
        raise ManifestUnavailable(error)

    async def _find_at(
        self, name: ModelName, endpoint: Endpoint, *, public_only: bool
    ) -> RegistryModel:
        path = f"{name.namespace}/{name.model}"
        repository = self._registries.repository(endpoint, path, public_only=public_only)
        try:
            data = await with_retries(
                lambda: repository.manifest(name.tag),
                self._manifest_retries,
                # Who waits for an unreachable registry sees nothing happen.
                is_transient=lambda e: isinstance(e, RegistryRefused) and e.is_transient,
            )
        except TransferFailed as e:
            raise e.last_error from None
        return RegistryModel(
            self._layout,
            self._registries.transport,
            repository,
            name,
            data,
            check_template=self._check_template,
        )
