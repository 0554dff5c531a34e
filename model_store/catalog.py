"""The catalog of installed models: look up, list, copy, delete."""

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_store.digests import Digest
from model_store.disk import disk_errors, is_regular
from model_store.errors import (
    ManifestInvalid,
    ModelNotFound,
    StorageUnreadable,
    TooManyOpenFiles,
)
from model_store.index import ManifestFile, ManifestIndex
from model_store.integrity import BlobIntegrity
from model_store.layout import Layout
from model_store.leases import BlobLeases
from model_store.manifests import Manifest, write_manifest
from model_store.model import Model, load_model
from model_store.names import ModelName, fold
from model_store.unused_blobs import UnusedBlobs

_log = logging.getLogger(__name__)


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
        self.leases = BlobLeases()
        self.integrity = BlobIntegrity(layout)
        self._unused = UnusedBlobs(layout, self._index, self.leases)
        self._models: dict[str, _Loaded] = {}
        self._listed: tuple[list[ManifestFile], tuple[Model, ...]] = ([], ())
        self._omitted: frozenset[str] = frozenset()
        self._texts: dict[Digest, str] = {}

    def models(self) -> tuple[Model, ...]:
        """Return every readable model, newest first, then by name; the log tells of the others.

        While nothing has changed on the disk, it is the same object.

        Raises:
            StorageUnreadable: the list would be incomplete.
        """
        files = self._index.scan()
        listed, models = self._listed
        if files == listed:
            return models
        loaded: dict[str, _Loaded] = {}
        omitted: dict[str, str] = {}
        may_return = False
        for file in files:
            try:
                loaded[file.path] = self._load(file)
            except TooManyOpenFiles:
                raise
            except (ManifestInvalid, ModelNotFound, StorageUnreadable) as e:
                may_return |= not isinstance(e, ManifestInvalid)
                if not file.is_hidden:
                    absent = isinstance(e, ModelNotFound)
                    omitted[file.path] = self._absence(file) if absent else str(e)
        self._models = loaded
        self._forget_texts(loaded.copy())
        self._report(omitted)
        ranked = sorted(loaded.values(), key=lambda each: each.rank)
        models = tuple(each.model for each in ranked)
        # Blobs that are away may come back, and no manifest changes with them.
        self._listed = ([], ()) if may_return else (files, models)
        return models

    def _absence(self, file: ManifestFile) -> str:
        """Say why blobs that a manifest names cannot be used."""
        for path in map(self._layout.blob, file.named):
            if path.is_symlink():
                return f"{path.name} is a link, which is not followed; use a bind mount instead"
            if not path.is_file():
                return f"{path.name} is missing"
        return "a blob is missing"

    def _report(self, omitted: dict[str, str]) -> None:
        """Log each reason for leaving a model out once, and again after it was listed."""
        for path, reason in omitted.items():
            if path not in self._omitted:
                _log.warning("%s is left out of the list: %s", ascii(path), reason)
        self._omitted = frozenset(omitted)

    def resolve(self, name: ModelName) -> Model:
        """Return the installed model that `name` means, whatever its case.

        Raises:
            ModelNotFound: there is none, or one of its blobs is gone.
            ManifestInvalid: it is damaged.
            StorageUnreadable: the operating system does not let us look.
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
        loaded = self._models.get(file.path)
        if loaded is not None and loaded.file is file:
            return loaded
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

    def _forget_texts(self, installed: Mapping[str, _Loaded]) -> None:
        """Keep only the small layers of models that are still installed."""
        needed = {digest for each in installed.values() for digest in each.file.named}
        self._texts = {d: text for d, text in list(self._texts.items()) if d in needed}

    def forget(self, digests: Iterable[Digest]) -> None:
        """Read what these blobs say again: a damaged one may have been replaced."""
        changed = frozenset(digests)
        for digest in changed:
            self._texts.pop(digest, None)
        self._models = {
            path: each
            for path, each in self._models.copy().items()
            if not changed & each.file.named
        }
        self._listed = ([], ())

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
        """Write a manifest, after making sure that its model can be read and its blobs stay.

        `data` is the manifest as somebody else wrote it, who knows it by the digest of its bytes.

        Raises:
            BlobNotFound: a blob was deleted in the meantime.
            ManifestInvalid: a small layer cannot be read.
            StorageFailed: the manifest cannot be written.
        """
        with self._unused.lock:
            self.integrity.touch(manifest.digests)
            self.forget(manifest.digests)
            load_model(self._layout, name, manifest, digest="", modified_at=0.0, texts=self._texts)
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
        with self._unused.lock:
            write_manifest(self._layout, destination, self._index.read(source))

    def delete(self, name: ModelName) -> ModelName:
        """Remove a model, damaged or not, and the blobs that no other model needs.

        Return its name as it was spelled.

        Raises:
            ModelNotFound: there is none of that name.
            StorageUnreadable: it is unknown which blobs other models need; nothing was removed.
            StorageFailed: its files cannot be removed.
        """
        with self._unused.lock:
            file = self._find(name)
            self._index.scan()
            with disk_errors():
                Path(file.path).unlink(missing_ok=True)
            self._remove_empty_folders(Path(file.path).parent)
            # What is not known now for sure, the next start finds out.
            with contextlib.suppress(StorageUnreadable):
                self._unused.remove(file.named)
            return file.name or name

    def _remove_empty_folders(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            while folder != self._layout.manifests:
                folder.rmdir()
                folder = folder.parent

    def remove_unreferenced(self, digests: Iterable[Digest], *, min_age: float = 0.0) -> int:
        """Delete those of `digests` that nothing needs any more; see `UnusedBlobs.remove`."""
        return self._unused.remove(digests, min_age=min_age)

    def remove_postponed(self) -> None:
        """Delete what nobody has a lease on any more; see `UnusedBlobs.remove_postponed`."""
        self._unused.remove_postponed()

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether a blob is there and not known to be damaged.

        If so, it stays for a while: whoever asks does not upload it.
        """
        with self._unused.lock:
            is_there = is_regular(self._layout.blob(digest))
            if not is_there or self.integrity.is_known_damaged(digest):
                return False
            self.leases.grant(digest)
            return True

    def manifest_files(self) -> list[ManifestFile]:
        """Return every manifest file whose path is a model name, damaged ones too."""
        return [file for file in self._index.scan() if file.name is not None]

    def referenced(self) -> frozenset[Digest]:
        """Return every digest that some manifest names, also one that is too damaged to use."""
        return frozenset(digest for file in self._index.scan() for digest in file.named)

    def is_empty(self) -> bool:
        """Tell whether there is no manifest at all, not even a damaged one."""
        return not self._index.scan()

    def damaged(self) -> list[ModelName]:
        """Return the names whose manifests cannot be read."""
        return [f.name for f in self._index.scan() if f.name is not None and f.manifest is None]
