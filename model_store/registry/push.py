"""Pushing a model: every blob that the registry lacks, then the manifest, step by step."""

from collections.abc import AsyncGenerator

from model_store.blobs import blob_path
from model_store.catalog import Catalog
from model_store.errors import InvalidName, StoreError
from model_store.layout import Layout
from model_store.manifests import MANIFEST_TYPE, Layer, Manifest
from model_store.names import ModelName
from model_store.registry.http.registries import Registries
from model_store.registry.http.repository import Patience, Repository
from model_store.registry.parts import PartSizes
from model_store.registry.progress import TransferProgress
from model_store.registry.shared_transfers import Transfers
from model_store.registry.upload import UPLOAD_SIZES, Sessions, Upload

_TOLD_EVERY_SECONDS = 0.1
_PREFIX = 12


class Pusher:
    """Pushes models of a store; clients that push the same blob to one place share the upload."""

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        registries: Registries,
        *,
        patience: Patience,
        sizes: PartSizes = UPLOAD_SIZES,
    ) -> None:
        self._layout, self._catalog, self._registries = layout, catalog, registries
        self._patience, self._sizes = patience, sizes
        self._transfers: Transfers[Upload] = Transfers()
        self._sessions = Sessions()

    async def push(
        self, name: ModelName, *, insecure: bool
    ) -> AsyncGenerator[TransferProgress, None]:
        """Push `name` to the registry that it names, telling each step.

        Raises:
            ModelNotFound, ManifestInvalid, BlobNotFound: the model is not here, or not whole.
            RegistryError: the registry does not take it.
            StorageFailed: a blob cannot be read.
        """
        yield TransferProgress("retrieving manifest")
        workers = self._registries.workers
        try:
            name = await workers.run(self._catalog.installed_name, name)
            manifest = await workers.run(self._catalog.manifest, name)
        except StoreError:
            yield TransferProgress("couldn't retrieve manifest")
            raise
        repository = self._registries.repository(
            self._registries.config.origin(name, insecure=insecure), _path(name)
        )
        layers = (*manifest.layers, *((manifest.config,) if manifest.config else ()))
        for layer in dict.fromkeys(layers):
            async for progress in self._send(repository, name, layer):
                yield progress
        yield TransferProgress("pushing manifest")
        await _put_manifest(repository, name.tag, manifest)
        yield TransferProgress("success")

    async def _send(
        self, repository: Repository, name: ModelName, layer: Layer
    ) -> AsyncGenerator[TransferProgress, None]:
        path = await self._registries.workers.run(blob_path, self._layout, layer.digest)

        def start() -> Upload:
            return Upload(
                self._registries.transport,
                self._registries.workers,
                repository,
                layer,
                path,
                mount_from=_mount_from(name, layer),
                sizes=self._sizes,
                patience=self._patience,
                sessions=self._sessions,
            )

        def told(completed: int) -> TransferProgress:
            status = f"pushing {layer.digest.hex[:_PREFIX]}"
            return TransferProgress(status, str(layer.digest), layer.size, completed)

        key = (repository.endpoint, repository.path, layer.digest)
        async with self._transfers.join(key, start) as transfer:
            while not await transfer.wait(_TOLD_EVERY_SECONDS):
                yield told(transfer.job.completed)
        yield told(layer.size)


def _path(name: ModelName) -> str:
    return f"{name.namespace}/{name.model}"


def _mount_from(name: ModelName, layer: Layer) -> str:
    """Return the repository of the same registry that the layer was taken from, or nothing."""
    try:
        parent = ModelName.parse(layer.parent)
    except InvalidName:
        return ""
    same_host = parent.host.lower() == name.host.lower()
    return _path(parent) if same_host and _path(parent) != _path(name) else ""


async def _put_manifest(repository: Repository, tag: str, manifest: Manifest) -> None:
    async with repository.request(
        "PUT",
        repository.url(f"manifests/{tag}"),
        headers={"Content-Type": MANIFEST_TYPE},
        content=manifest.encode().removesuffix(b"\n"),
        follow=False,
    ) as answer:
        await answer.check()
