"""A model in a registry: its blobs, where to download them, and how it is installed."""

from typing import NamedTuple, Protocol

from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.manifests import LAYER_PREFIX, Manifest, parse_manifest
from model_store.names import ModelName
from model_store.registry.errors import ModelUnsupported
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Repository
from model_store.registry.http.transport import Transport


class BlobDescriptor(NamedTuple):
    """A blob that a model needs; `size` in bytes, as the registry states it."""

    digest: Digest
    size: int


class RemoteModel(Protocol):
    """What a registry has under one name."""

    @property
    def blobs(self) -> tuple[BlobDescriptor, ...]:
        """All blobs that the model needs, in the order in which they are downloaded."""

    def source(self, blob: BlobDescriptor) -> BlobSource:
        """Return where a blob is downloaded from."""

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Install the model as `name`; blocks on the disk.

        Raises:
            BlobNotFound: a blob has been deleted in the meantime.
            StoreError: the model cannot be used or written.
        """


class RegistryModel:
    """A model of a registry: a manifest, which is installed byte for byte."""

    def __init__(
        self, transport: Transport, repository: Repository, name: ModelName, data: bytes
    ) -> None:
        self._transport, self._repository, self._data = transport, repository, data
        self._manifest = parse_manifest(name.short, data)
        _check(self._manifest)

    @property
    def blobs(self) -> tuple[BlobDescriptor, ...]:
        """The layers in their order, then the config."""
        manifest = self._manifest
        layers = (*manifest.layers, *((manifest.config,) if manifest.config else ()))
        return tuple(dict.fromkeys(BlobDescriptor(layer.digest, layer.size) for layer in layers))

    def source(self, blob: BlobDescriptor) -> BlobSource:
        """Return the blob in the repository."""
        url = self._repository.blob_url(blob.digest)
        return BlobSource(self._transport, self._repository, url, blob.size)

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Write the manifest as received."""
        catalog.install(name, self._manifest, self._data)


def _check(manifest: Manifest) -> None:
    """Refuse models that this server cannot run; raises ModelUnsupported."""
    if any(layer.kind == "tensor" for layer in manifest.layers):
        raise ModelUnsupported(
            "this model requires MLX support, but the MLX runtime is not available"
        )
    types = [layer.media_type for layer in manifest.layers]
    if types and not any(kind.startswith(LAYER_PREFIX) for kind in types):
        raise ModelUnsupported("the registry has something under this name that is not a model")
