"""The store as the server sees it: one directory of models that other programs may share."""

from collections.abc import Iterator
from pathlib import Path

from model_store.blobs import BlobWriter
from model_store.catalog import Catalog
from model_store.create import CreateProgress, CreateSpec, create_model
from model_store.digests import Digest
from model_store.disk import disk_errors, is_regular
from model_store.layout import Layout
from model_store.model import Model
from model_store.names import ModelName
from model_store.prune import prune, rename_old_blobs


class Store:
    """Models and blobs below `root`; every method may be called from any thread.

    With `keep_unreferenced`, neither a start nor the replacement of a model deletes blobs.
    """

    def __init__(self, root: Path, *, keep_unreferenced: bool = False) -> None:
        self._layout = Layout(root)
        self._catalog = Catalog(self._layout)
        self._prunes = not keep_unreferenced

    def prepare(self) -> None:
        """Make the directories, bring an old layout up to date, remove what nothing needs.

        Raises:
            StorageFailed: the directories cannot be made or read.
        """
        with disk_errors():
            self._layout.make()
            rename_old_blobs(self._layout)
            if self._prunes:
                prune(self._layout, self._catalog)

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether a blob is there."""
        return is_regular(self._layout.blob(digest))

    def blob_writer(self, digest: Digest) -> BlobWriter:
        """Begin to store the blob `digest`; see BlobWriter. Raises StorageFailed."""
        return BlobWriter(self._layout, digest)

    def models(self) -> tuple[Model, ...]:
        """Return every readable model, newest first."""
        return self._catalog.models()

    def resolve(self, name: ModelName) -> Model:
        """Return the model that `name` means; raises ModelNotFound or ManifestInvalid."""
        return self._catalog.resolve(name)

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Give a model a second name; raises ModelNotFound or StorageFailed."""
        self._catalog.copy(source, destination)

    def delete(self, name: ModelName) -> None:
        """Remove a model; raises ModelNotFound or StorageFailed."""
        self._catalog.delete(name)

    def create(self, spec: CreateSpec) -> Iterator[CreateProgress]:
        """Make a model; see `create_model` for the steps and errors."""
        return create_model(self._layout, self._catalog, spec, prune=self._prunes)
