"""Push a model: the blobs that the registry lacks, then the manifest."""

from collections.abc import AsyncGenerator

from model_store.blobs import blob_path
from model_store.catalog import Catalog
from model_store.errors import InvalidName, StoreError
from model_store.layout import Layout
from model_store.manifests import MANIFEST_TYPE, Layer, Manifest
from model_store.names import ModelName
from model_store.registry.http.registries import Registries
from model_store.registry.http.repository import Repository
from model_store.registry.parts import PartSizes
from model_store.registry.retries import RetryPolicy
from model_store.registry.transfers import SharedTransfers, TransferProgress
from model_store.registry.upload import UPLOAD_SIZES, Upload, UploadSessions

_PROGRESS_SECONDS = 0.1
_SHOWN_DIGITS = 12


class Pusher:
    """Pushes models of a store; clients that push the same blob to one place share the upload."""

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        registries: Registries,
        *,
        retries: RetryPolicy,
        sizes: PartSizes = UPLOAD_SIZES,
    ) -> None:
        self._layout, self._catalog, self._registries = layout, catalog, registries
        self._retries, self._sizes = retries, sizes
        self._transfers: SharedTransfers[Upload] = SharedTransfers()
        self._sessions = UploadSessions()

    async def push(
        self, name: ModelName, *, insecure: bool, public_only: bool
    ) -> AsyncGenerator[TransferProgress, None]:
        """Push `name` to its registry, yielding each step; closing the iterator stops it.

        Raises:
            ModelNotFound, ManifestInvalid, BlobNotFound: the model is not here, or incomplete.
            RegistryError: the registry does not accept it.
            StorageFailed: a blob cannot be read.
        """
        yield TransferProgress("retrieving manifest")
        threads = self._registries.threads
        try:
            name = await threads.run(self._catalog.installed_name, name)
            manifest = await threads.run(self._catalog.manifest, name)
        except StoreError:
            yield TransferProgress("couldn't retrieve manifest")
            raise
        repository = self._registries.repository(
            self._registries.config.origin(name, insecure=insecure),
            _path(name),
            public_only=public_only,
        )
        layers = (*manifest.layers, *((manifest.config,) if manifest.config else ()))
        for layer in dict.fromkeys(layers):
            async for progress in self._upload(repository, name, layer):
                yield progress
        yield TransferProgress("pushing manifest")
        await _put_manifest(repository, name.tag, manifest)
        yield TransferProgress("success")

    async def _upload(
        self, repository: Repository, name: ModelName, layer: Layer
    ) -> AsyncGenerator[TransferProgress, None]:
        path = await self._registries.threads.run(blob_path, self._layout, layer.digest)

        def start() -> Upload:
            return Upload(
                self._registries.transport,
                self._registries.threads,
                repository,
                layer,
                path,
                mount_from=_mount_from(name, layer),
                sizes=self._sizes,
                retries=self._retries,
                sessions=self._sessions,
            )

        def progress(completed: int) -> TransferProgress:
            status = f"pushing {layer.digest.hex[:_SHOWN_DIGITS]}"
            return TransferProgress(status, str(layer.digest), layer.size, completed)

        key = (repository.endpoint, repository.path, layer.digest)
        async with self._transfers.join(key, start) as transfer:
            while not await transfer.wait(_PROGRESS_SECONDS):
                yield progress(transfer.job.completed)
        yield progress(layer.size)


def _path(name: ModelName) -> str:
    return f"{name.namespace}/{name.model}"


def _mount_from(name: ModelName, layer: Layer) -> str:
    """Return the repository that the layer was taken from, if it is in the same registry."""
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
    ) as response:
        await response.raise_for_status()
