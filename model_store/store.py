"""The store as the server sees it: one directory of models that other programs may share."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from model_store.archive import Archive, Entry, Progress, export_model
from model_store.blobs import BlobWriter, StoredBlob
from model_store.bundled import install_bundled
from model_store.catalog import Catalog
from model_store.create import CreateProgress, CreateSpec, Tools, create_model
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.errors import ManifestInvalid, ModelNotFound, StorageFailed, StorageMissing
from model_store.integrity import Damage
from model_store.layout import Layout
from model_store.model import Model
from model_store.names import ModelName
from model_store.partial_uploads import PartialUpload, PartialUploads
from model_store.prune import (
    prune,
    remove_orphaned_projectors,
    remove_scratch,
    rename_old_blobs,
)
from model_store.registry.config import RegistryConfig
from model_store.serving import Serving
from model_store.verify import DamagedModel, find_damage

if TYPE_CHECKING:
    from model_store.registry.client import RegistryClient
    from model_store.shared_models import SharedModels

_log = logging.getLogger(__name__)


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
        self._uploads = PartialUploads(self._layout)
        self._serving = Serving()
        self._listed: tuple[Sequence[Model], tuple[Model, ...]] | None = None

    @property
    def serving(self) -> Serving:
        """The aliases, and how models are served."""
        return self._serving

    def serve_as(self, serving: Serving) -> None:
        """Use other aliases and other settings of models from now on."""
        self._serving, self._listed = serving, None

    def prepare(self) -> None:
        """Make the directories, bring an old layout up to date, remove what nothing needs.

        A store with blobs but without manifests is left as it is: its disk may not be mounted.

        Raises:
            StorageFailed: the directories cannot be made or read.
        """
        try:
            with disk_errors():
                rename_old_blobs(self._layout)
                self._layout.create()
                if self._prunes:
                    prune(self._layout, self._catalog)
        except StorageMissing as e:
            _log.warning("no model can be used: %s", e)

    def check(self) -> None:
        """Raise unless models can be read and added; writes nothing.

        Raises:
            StorageFailed: with the reason.
        """
        with disk_errors():
            self._layout.check()

    def tidy(self) -> None:
        """Remove what killed uploads left, and blobs that a client's lease has spared; logs errors.

        To be called now and then while the server runs.
        """
        if not self._prunes:
            return
        self._catalog.remove_postponed()
        try:
            with disk_errors():
                remove_scratch(self._layout)
                remove_orphaned_projectors(self._layout)
        except StorageFailed as e:
            _log.warning("abandoned files cannot be removed: %s", e)

    def add_bundled(self) -> bool:
        """Install the models that paddock brings along, once in the life of a store.

        Return whether it was done now; a store that holds models is left alone.

        Raises:
            StorageFailed: the directory cannot be written.
        """
        return install_bundled(self._layout, self._catalog)

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether a blob is there; see `Catalog.has_blob`."""
        return self._catalog.has_blob(digest)

    def is_intact(self, digest: Digest) -> bool:
        """Tell whether a blob's bytes are right; they are read unless that is known."""
        return self._catalog.integrity.check(digest) is None

    def has_intact_blob(self, digest: Digest) -> bool:
        """Tell whether a blob is there and its bytes are right; reads all of them."""
        damage = self._catalog.integrity.check(digest, again=True)
        if damage not in (None, Damage.MISSING):
            _log.warning("the blob %s %s; the upload of it replaces it", digest, damage)
        return damage is None and self._catalog.has_blob(digest)

    def blob_writer(self, digest: Digest) -> BlobWriter:
        """Begin to store the blob `digest`; see BlobWriter. Raises StorageFailed."""
        return BlobWriter(self._layout, digest)

    def upload_offset(self, digest: Digest) -> int:
        """Return how many bytes have arrived of a blob whose upload broke off."""
        return self._uploads.offset(digest)

    def resume_upload(self, digest: Digest, offset: int) -> PartialUpload:
        """Go on with the upload of a blob; see `PartialUploads.resume`."""
        return self._uploads.resume(digest, offset)

    def commit_blob(self, writer: BlobWriter) -> StoredBlob:
        """Publish an uploaded blob, which stays for its uploader; raises as `BlobWriter.commit`."""
        digest = writer.digest
        # Before it can be seen: nobody may delete it in between.
        self._catalog.leases.grant(digest)
        blob = writer.commit()
        self._catalog.integrity.trust(digest)
        self._catalog.forget([digest])
        return blob

    def models(self) -> tuple[Model, ...]:
        """Return every readable model, newest first, each followed by its aliases.

        While nothing has changed, it is the same object.
        """
        serving, models, listed = self._serving, self._catalog.models(), self._listed
        if not serving.aliases:
            return models
        if listed is None or listed[0] is not models:
            listed = self._listed = models, serving.with_aliases(models)
        return listed[1]

    def resolve(self, name: ModelName) -> Model:
        """Return the model that `name` means, also as an alias.

        Raises:
            ModelNotFound, ManifestInvalid: as `Catalog.resolve`.
        """
        serving = self._serving
        return serving.apply(self._catalog.resolve(serving.target(name)))

    def has_model(self, name: ModelName) -> bool:
        """Tell whether a model of that name is installed and whole."""
        try:
            self._catalog.resolve(self._serving.target(name))
        except (ModelNotFound, ManifestInvalid):
            return False
        return True

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Give a model a second name; raises ModelNotFound, AliasReserved or StorageFailed."""
        self._serving.require_no_alias(destination)
        self._catalog.copy(self._serving.target(source), destination)

    def delete(self, name: ModelName) -> ModelName:
        """Remove a model; return its name as it was spelled.

        Raises:
            ModelNotFound, StorageFailed: as `Catalog.delete`.
            AliasReserved: it is an alias.
        """
        self._serving.require_no_alias(name)
        return self._catalog.delete(name)

    def shared(self, may_read: Callable[[ModelName], bool]) -> "SharedModels":
        """Return the models that somebody may read, as a registry to pull them from."""
        from model_store.shared_models import SharedModels  # noqa: PLC0415 - off by default

        return SharedModels(self._layout, self._catalog, may_read)

    def registries(
        self, config: RegistryConfig, check_template: Callable[[str], None]
    ) -> "RegistryClient":
        """Return what pulls and pushes models of this store; raises RegistryError.

        `check_template` raises StoreError for a Go template that cannot be parsed.

        The HTTP client is imported only now: a server that never pulls starts without it.
        """
        from model_store.registry.client import RegistryClient  # noqa: PLC0415

        return RegistryClient(
            self._layout,
            self._catalog,
            config,
            check_template=check_template,
            prune=self._prunes,
        )

    def export(self, name: ModelName, target: IO[bytes], progress: Progress) -> None:
        """Write a model to one file; see `archive.export_model`. Raises ModelNotFound too."""
        name = self._catalog.installed_name(name)
        export_model(self._layout, name, self._catalog.manifest_bytes(name), target, progress)

    def import_model(
        self, archive: Archive, entry: Entry, name: ModelName, progress: Progress
    ) -> None:
        """Install a model of an archive as `name`; see `Archive.install`."""
        archive.install(entry, name, self._layout, self._catalog, progress)

    def verify(self, names: Collection[ModelName], progress: Progress) -> list[DamagedModel]:
        """Hash the blobs of the models named, of all without names; return the damaged ones.

        Raises:
            ModelNotFound: a name means no model.
        """
        installed, damaged = self._catalog.manifests(), set(self._catalog.damaged())
        selected = [self._catalog.installed_name(name) for name in names] or list(installed)
        for name in selected:
            if name not in installed:
                raise ModelNotFound(name.short)
        blobs = {name: installed[name] for name in selected}
        models = find_damage(self._catalog.integrity, blobs, progress)
        reported = {model.name for model in models}
        unreadable = [name for name in selected if name in damaged - reported]
        return models + [DamagedModel(name, {}) for name in unreadable]

    def create(self, spec: CreateSpec) -> Iterator[CreateProgress]:
        """Make a model; see `create_model` for the steps and errors; raises AliasReserved too."""
        self._serving.require_no_alias(spec.name)
        if spec.parent is not None:
            spec = replace(spec, parent=self._serving.target(spec.parent))
        return create_model(self._layout, self._catalog, spec, self._tools, prune=self._prunes)
