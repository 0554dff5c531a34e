"""A model as a registry offers it: which blobs it has, where they are, how it is installed."""

from typing import NamedTuple, Protocol

from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.manifests import LAYER_PREFIX, Manifest, parse_manifest
from model_store.names import ModelName
from model_store.registry.errors import ModelUnsupported
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Repository
from model_store.registry.http.transport import Transport


class OfferedBlob(NamedTuple):
    """A blob that a model needs; `size` in bytes, as the registry states it."""

    digest: Digest
    size: int


class Offer(Protocol):
    """What can be had for one name."""

    @property
    def blobs(self) -> tuple[OfferedBlob, ...]:
        """What has to be there, in the order in which it is loaded."""

    def source(self, blob: OfferedBlob) -> BlobSource:
        """Return where a blob comes from."""

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Install the model as `name`; blocks on the disk.

        Raises:
            BlobNotFound: a blob has gone in the meantime.
            StoreError: the model cannot be used or written.
        """


class RegistryOffer:
    """A model of a registry: a manifest, which is installed byte for byte."""

    def __init__(
        self, transport: Transport, repository: Repository, name: ModelName, data: bytes
    ) -> None:
        self._transport, self._repository, self._data = transport, repository, data
        self._manifest = parse_manifest(name.short, data)
        _check(self._manifest)

    @property
    def blobs(self) -> tuple[OfferedBlob, ...]:
        """The layers in their order, then the config."""
        manifest = self._manifest
        parts = (*manifest.layers, *((manifest.config,) if manifest.config else ()))
        return tuple(dict.fromkeys(OfferedBlob(part.digest, part.size) for part in parts))

    def source(self, blob: OfferedBlob) -> BlobSource:
        """Return the blob in the repository."""
        url = self._repository.blob_url(blob.digest)
        return BlobSource(self._transport, self._repository, url, blob.size)

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Write the manifest as it came."""
        catalog.install(name, self._manifest, self._data)


def _check(manifest: Manifest) -> None:
    """Refuse what no server of this kind can run; raises ModelUnsupported."""
    if any(layer.kind == "tensor" for layer in manifest.layers):
        raise ModelUnsupported(
            "this model requires MLX support, but the MLX runtime is not available"
        )
    types = [layer.media_type for layer in manifest.layers]
    if types and not any(kind.startswith(LAYER_PREFIX) for kind in types):
        raise ModelUnsupported("what the registry has under this name is not a model")
