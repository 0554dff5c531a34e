"""The store as the server sees it: one directory of models that other programs may share."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from model_store.archive import Archive, Entry, Progress, export_model
from model_store.blobs import BlobWriter, remove_blob
from model_store.bundled import install_bundled
from model_store.catalog import Catalog
from model_store.create import CreateProgress, CreateSpec, Tools, create_model
from model_store.digests import Digest
from model_store.disk import disk_errors, is_regular
from model_store.errors import ManifestInvalid, ModelNotFound
from model_store.layout import Layout
from model_store.model import Model
from model_store.names import ModelName
from model_store.prune import prune, rename_old_blobs
from model_store.registry.config import RegistryConfig
from model_store.verify import HurtModel, find_damage

if TYPE_CHECKING:
    from model_store.registry.client import RegistryClient


class Store:
    """Models and blobs below `root`; every method may be called from any thread.

    With `keep_unreferenced`, neither a start nor the replacement of a model deletes blobs. `tools`
    are what models are made with.
    """

    def __init__(
        self, root: Path, *, keep_unreferenced: bool = False, tools: Tools | None = None
    ) -> None:
        self._tools = tools or Tools()
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

    def add_bundled(self) -> bool:
        """Install the models that paddock brings along, once in the life of a store.

        Return whether it was done now; a store that holds models is left alone.

        Raises:
            StorageFailed: the directory cannot be written.
        """
        return install_bundled(self._layout, self._catalog)

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

    def has_model(self, name: ModelName) -> bool:
        """Tell whether a model of that name is installed and whole."""
        try:
            self._catalog.resolve(name)
        except (ModelNotFound, ManifestInvalid):
            return False
        return True

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Give a model a second name; raises ModelNotFound or StorageFailed."""
        self._catalog.copy(source, destination)

    def delete(self, name: ModelName) -> ModelName:
        """Remove a model; return its name as it was spelled.

        Raises:
            ModelNotFound, StorageFailed: as `Catalog.delete`.
        """
        return self._catalog.delete(name)

    def remove_damaged(self, model: HurtModel) -> None:
        """Remove the blobs of a model that are not what their names say; raises StorageFailed."""
        for digest in model.blobs:
            remove_blob(self._layout, digest)

    def registries(self, config: RegistryConfig) -> "RegistryClient":
        """Return what pulls and pushes models of this store; raises RegistryError.

        The HTTP client is imported only now: a server that never pulls starts without it.
        """
        from model_store.registry.client import RegistryClient  # noqa: PLC0415

        return RegistryClient(self._layout, self._catalog, config, prune=self._prunes)

    def export(self, name: ModelName, target: IO[bytes], progress: Progress) -> None:
        """Write a model to one file; see `archive.export_model`. Raises ModelNotFound too."""
        name = self._catalog.installed_name(name)
        export_model(self._layout, name, self._catalog.manifest_bytes(name), target, progress)

    def import_model(
        self, archive: Archive, entry: Entry, name: ModelName, progress: Progress
    ) -> None:
        """Install a model of an archive as `name`; see `Archive.install`."""
        archive.install(entry, name, self._layout, self._catalog, progress)

    def verify(self, names: Collection[ModelName], progress: Progress) -> list[HurtModel]:
        """Hash the blobs of the models named, of all without names; return those that are hurt.

        Raises:
            ModelNotFound: a name means no model.
        """
        known, damaged = self._catalog.manifests(), set(self._catalog.damaged())
        wanted = [self._catalog.installed_name(name) for name in names] or list(known)
        for name in wanted:
            if name not in known:
                raise ModelNotFound(name.short)
        hurt = find_damage(self._layout, {name: known[name] for name in wanted}, progress)
        told = {model.name for model in hurt}
        return hurt + [HurtModel(name, {}) for name in wanted if name in damaged - told]

    def create(self, spec: CreateSpec) -> Iterator[CreateProgress]:
        """Make a model; see `create_model` for the steps and errors."""
        return create_model(self._layout, self._catalog, spec, self._tools, prune=self._prunes)
