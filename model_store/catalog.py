"""The installed models: found, listed, copied and deleted."""

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path

from model_store.blobs import remove_blob, touch_blobs
from model_store.digests import Digest
from model_store.disk import disk_errors, is_regular
from model_store.errors import ManifestInvalid, ModelNotFound
from model_store.index import ManifestFile, ManifestIndex
from model_store.layout import Layout
from model_store.manifests import Manifest, write_manifest
from model_store.model import Model, load_model
from model_store.names import ModelName, fold


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """A model, the manifest file that it was read from, and its place in listings."""

    file: ManifestFile
    model: Model
    rank: tuple[int, str]


class Catalog:
    """Models of one directory; safe for several threads and processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._index = ManifestIndex(layout)
        self._models: dict[str, _Loaded] = {}
        self._listed: tuple[list[ManifestFile], tuple[Model, ...]] = ([], ())
        self._texts: dict[Digest, str] = {}
        # Held while blobs gain or lose their last manifest, so that a delete cannot take away
        # what a model that is being made relies on.
        self._references = threading.RLock()

    def models(self) -> tuple[Model, ...]:
        """Return every readable model, newest first, then by name; damaged ones are left out.

        While nothing has changed on the disk, it is the same object.
        """
        files = self._index.scan()
        listed, models = self._listed
        if files == listed:
            return models
        known: dict[str, _Loaded] = {}
        n_away = 0
        for file in files:
            try:
                known[file.path] = self._load(file)
            except ManifestInvalid:
                continue
            except ModelNotFound:
                n_away += 1
        self._models = known
        self._forget_texts()
        ranked = sorted(known.values(), key=lambda kept: kept.rank)
        models = tuple(loaded.model for loaded in ranked)
        # Blobs that are away may come back, and no manifest changes with them.
        self._listed = ([], ()) if n_away else (files, models)
        return models

    def resolve(self, name: ModelName) -> Model:
        """Return the installed model that `name` means, whatever its case.

        Raises:
            ModelNotFound: there is none, or one of its blobs is gone.
            ManifestInvalid: it is damaged.
        """
        file = self._find(name)
        loaded = self._load(file)
        if not all(is_regular(self._layout.blob(digest)) for digest in file.named):
            raise ModelNotFound(loaded.model.name.short)
        self._models[file.path] = loaded
        return loaded.model

    def installed_name(self, name: ModelName) -> ModelName:
        """Return `name` with each part spelled as installed models spell it; see `names.fold`."""
        if self._index.find(name) is not None:
            return name
        return fold(name, [file.name for file in self._index.scan() if file.name is not None])

    def _find(self, name: ModelName) -> ManifestFile:
        file = self._index.find(name) or self._index.find(self.installed_name(name))
        if file is None:
            raise ModelNotFound(name.short)
        return file

    def _load(self, file: ManifestFile) -> _Loaded:
        kept = self._models.get(file.path)
        if kept is not None and kept.file is file:
            return kept
        if file.name is None or file.manifest is None:
            raise ManifestInvalid(file.name.short if file.name else "", file.damage)
        model = load_model(
            self._layout,
            file.name,
            file.manifest,
            digest=file.digest,
            modified_at=file.modified_at,
            texts=self._texts,
        )
        return _Loaded(file, model, (-int(model.modified_at), model.name.short))

    def _forget_texts(self) -> None:
        """Keep only the small layers of models that are still installed."""
        needed = {digest for kept in self._models.values() for digest in kept.file.named}
        self._texts = {d: text for d, text in list(self._texts.items()) if d in needed}

    def manifest(self, name: ModelName) -> Manifest:
        """Return the manifest of exactly this name; raises ModelNotFound or ManifestInvalid."""
        file = self._index.find(name)
        if file is None:
            raise ModelNotFound(name.short)
        if file.manifest is None:
            raise ManifestInvalid(name.short, file.damage)
        return file.manifest

    def named_by(self, name: ModelName) -> frozenset[Digest]:
        """Return the blobs that the manifest of exactly this name refers to, none if absent."""
        file = self._index.find(name)
        return file.named if file else frozenset()

    def install(self, name: ModelName, manifest: Manifest, data: bytes | None = None) -> None:
        """Write a manifest, after making sure that all its blobs are there and stay.

        `data` is the manifest as somebody else wrote it, who knows it by the digest of its bytes.

        Raises:
            BlobNotFound: one was deleted in the meantime.
            StorageFailed: the manifest cannot be written.
        """
        with self._references:
            touch_blobs(self._layout, manifest.digests)
            write_manifest(self._layout, name, manifest.encode() if data is None else data)

    def manifest_bytes(self, name: ModelName) -> bytes:
        """Return the bytes of the manifest of exactly this name; raises ModelNotFound."""
        return self._index.read(name)

    def manifests(self) -> dict[ModelName, frozenset[Digest]]:
        """Return the blobs that every manifest names, one that is too damaged to use too."""
        return {file.name: file.named for file in self._index.scan() if file.name is not None}

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Install the manifest of `source`, byte for byte, as `destination` too.

        A model copied onto itself succeeds even when it does not exist, as it does in the
        reference.

        Raises:
            ModelNotFound: there is no `source`.
            StorageFailed: the manifest cannot be written.
        """
        source, destination = self.installed_name(source), self.installed_name(destination)
        if source == destination:
            return
        with self._references:
            write_manifest(self._layout, destination, self._index.read(source))

    def delete(self, name: ModelName) -> ModelName:
        """Remove a model, damaged or not, and the blobs that no other model needs.

        Return its name as it was spelled.

        Raises:
            ModelNotFound: there is none of that name.
            StorageFailed: its files cannot be removed.
        """
        with self._references:
            file = self._find(name)
            with disk_errors():
                Path(file.path).unlink(missing_ok=True)
            self._remove_empty_folders(Path(file.path).parent)
            self.remove_unreferenced(file.named)
            return file.name or name

    def _remove_empty_folders(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            while folder != self._layout.manifests:
                folder.rmdir()
                folder = folder.parent

    def remove_unreferenced(self, digests: frozenset[Digest]) -> None:
        """Delete those of `digests` that no manifest names any more; raises StorageFailed."""
        with self._references:
            for digest in digests - self.referenced():
                remove_blob(self._layout, digest)

    def referenced(self) -> frozenset[Digest]:
        """Return every digest that some manifest names, also one that is too damaged to use."""
        return frozenset(digest for file in self._index.scan() for digest in file.named)

    def is_empty(self) -> bool:
        """Tell whether there is no manifest at all, not even a damaged one."""
        return not self._index.scan()

    def damaged(self) -> list[ModelName]:
        """Return the names whose manifests cannot be read."""
        return [f.name for f in self._index.scan() if f.name is not None and f.manifest is None]
