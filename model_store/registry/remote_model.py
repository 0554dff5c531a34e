"""A model in a registry: its blobs, where to download them, and how it is installed."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.layout import Layout
from model_store.manifests import Layer, parse_manifest
from model_store.names import ModelName
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Repository
from model_store.registry.http.transport import Transport
from model_store.registry.validation import (
    CheckTemplate,
    check_files,
    check_manifest,
    check_texts,
    text_layers,
)


class BlobDescriptor(NamedTuple):
    """A blob that a model needs; `size` in bytes, as the registry states it."""

    digest: Digest
    size: int


class RemoteModel(Protocol):
    """What a registry has under one name."""

    @property
    def blobs(self) -> tuple[BlobDescriptor, ...]:
        """All blobs that the model needs, in the order in which they are downloaded."""

    @property
    def texts(self) -> tuple[BlobDescriptor, ...]:
        """Those of `blobs` that `check_texts` reads; all are small."""

    def source(self, blob: BlobDescriptor) -> BlobSource:
        """Return where a blob is downloaded from."""

    def check_texts(self) -> None:
        """Read the texts, which have been downloaded; blocks on the disk.

        Raises:
            BlobNotFound: a blob has been deleted in the meantime.
            ModelUnsupported: the model cannot be used.
        """

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Check the files and install the model as `name`; blocks on the disk.

        Raises:
            BlobNotFound: a blob has been deleted in the meantime.
            ModelUnsupported: the model cannot be used.
            StoreError: it cannot be written.
        """


class RegistryModel:
    """A model of a registry: a manifest, which is installed byte for byte.

    Raises:
        ManifestInvalid, ModelUnsupported: the manifest is not that of a usable model.
    """

    def __init__(
        self,
        layout: Layout,
        transport: Transport,
        repository: Repository,
        name: ModelName,
        data: bytes,
        *,
        check_template: CheckTemplate,
    ) -> None:
        self._layout, self._transport, self._repository = layout, transport, repository
        self._name, self._data, self._check_template = name, data, check_template
        self._manifest = parse_manifest(name.short, data)
        check_manifest(self._manifest, data)

    @property
    def blobs(self) -> tuple[BlobDescriptor, ...]:
        """The layers in their order, then the config."""
        manifest = self._manifest
        return _descriptors((*manifest.layers, *((manifest.config,) if manifest.config else ())))

    @property
    def texts(self) -> tuple[BlobDescriptor, ...]:
        """The config, and the layers that are not GGUF files."""
        return _descriptors(text_layers(self._manifest))

    def source(self, blob: BlobDescriptor) -> BlobSource:
        """Return the blob in the repository."""
        url = self._repository.blob_url(blob.digest)
        return BlobSource(self._transport, self._repository, url, blob.size)

    def check_texts(self) -> None:
        """Read config, parameters, template and messages."""
        check_texts(self._layout, self._name, self._manifest, self._check_template)

    def install(self, catalog: Catalog, name: ModelName) -> None:
        """Check the headers of the GGUF files and write the manifest as received."""
        check_files(self._layout, self._manifest)
        catalog.install(name, self._manifest, self._data)


def _descriptors(layers: Iterable[Layer]) -> tuple[BlobDescriptor, ...]:
    return tuple(dict.fromkeys(BlobDescriptor(layer.digest, layer.size) for layer in layers))
