"""Index of the manifests on disk, each read once and again only when its file has changed.

Other programs may add, replace and remove manifests at any moment, so every look goes to the
directories; what is kept between looks is what the files said, by the facts that `stat` tells.
"""

import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from model_store.digests import Digest
from model_store.disk import is_absent, open_regular, unreadable
from model_store.errors import InvalidName, ManifestInvalid, ModelNotFound, StorageUnreadable
from model_store.layout import MANIFEST_DEPTH, Layout
from model_store.manifests import LARGEST_MANIFEST, Manifest, digests_in, parse_manifest
from model_store.names import ModelName

_log = logging.getLogger(__name__)

_SETTLED_NS = 2 * 10**9
"""How long ago a change must lie before equal times of change mean equal content: file systems
count time in steps, some of two seconds."""

_LATEST = 253402300799
"""The last second of the year 9999: a time of change that no calendar has cannot be shown."""


@dataclass(frozen=True, slots=True, eq=False)
class ManifestFile:
    """A manifest file as last read; two of them are the same only if they are one object.

    `name` is None when the path is no model name, `manifest` when the content is no manifest:
    then `damage` says why. `digest` is the bare hex of the content. `named` holds the digests of
    the blobs that must not be deleted while the file is there, damaged or not.
    """

    path: str
    name: ModelName | None
    digest: str
    manifest: Manifest | None
    damage: str
    named: frozenset[Digest]
    modified_at: float

    @property
    def is_hidden(self) -> bool:
        """Whether a desktop or an editor left it behind, by its name; it is no manifest."""
        return any(part.startswith(".") for part in self.path.split("/")[-MANIFEST_DEPTH:])


class _Known(NamedTuple):
    """What was read, of which version of the file, and whether that version can still change."""

    file: ManifestFile
    version: tuple[int, ...]
    is_settled: bool


class _Folder(NamedTuple):
    """What lies in a directory, of which version of it."""

    paths: tuple[str, ...]
    version: tuple[int, ...]
    is_settled: bool


class ManifestIndex:
    """All manifests of one directory; may be used by several threads at once.

    Only what the operating system says is absent counts as absent. Whatever else keeps a file or
    a directory from being read is StorageUnreadable: to take it for absent would make the blobs
    of its models look unused.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        # Both are replaced as a whole, never changed, except that a look at one file adds it.
        self._files: dict[str, _Known] = {}
        self._folders: dict[str, _Folder] = {}
        self._reported: tuple[str, str] | None = None

    def scan(self) -> list[ManifestFile]:
        """Return every file at the level of manifests, damaged ones too; links to nowhere not.

        Raises:
            StorageMissing: the directory of the manifests has vanished.
            StorageUnreadable: a file or directory cannot be read; the log says which.
        """
        folders: dict[str, _Folder] = {}
        level = [str(self._layout.manifests)]
        for _ in range(MANIFEST_DEPTH):
            contents = {folder: self._listed(folder) for folder in level}
            level = [path for folder in contents.values() for path in folder.paths]
            folders |= contents
        files = {path: known for path in level if (known := self._look(path)) is not None}
        if not files:
            self._require_directory()
        self._files, self._folders, self._reported = files, folders, None
        return [known.file for known in files.values()]

    def find(self, name: ModelName) -> ManifestFile | None:
        """Return the manifest that is stored under exactly this name; raises StorageUnreadable."""
        path = str(self._layout.manifest(name))
        known = self._look(path)
        if known is None:
            return None
        self._files[path] = known
        return known.file

    def read(self, name: ModelName) -> bytes:
        """Return the bytes stored under exactly this name.

        Raises:
            ModelNotFound: there are none.
            StorageUnreadable: they cannot be read.
        """
        path = str(self._layout.manifest(name))
        try:
            return _read(path)
        except OSError as e:
            if is_absent(e):
                raise ModelNotFound(name.short) from e
            raise self._refused(path, e, _subject(path)) from e

    def _require_directory(self) -> None:
        try:
            if not self._layout.manifests.is_dir():
                self._layout.require_manifests()
        except OSError as e:
            raise self._refused(str(self._layout.root), e) from e

    def _listed(self, folder: str) -> _Folder:
        try:
            facts = os.stat(folder)  # noqa: PTH116 - as below
            known, version = self._folders.get(folder), _version(facts)
            if known is not None and known.is_settled and known.version == version:
                return known
            settled = _is_settled(facts)
            names = sorted(os.listdir(folder))  # noqa: PTH208 - as below
        except OSError as e:
            if is_absent(e):
                # Gone in the meantime, or a file where a directory belongs.
                return _Folder((), (), is_settled=False)
            raise self._refused(folder, e) from e
        return _Folder(tuple(f"{folder}/{name}" for name in names), version, settled)

    def _look(self, path: str) -> _Known | None:
        try:
            facts = os.stat(path)  # noqa: PTH116 - a Path for each of thousands of files is slow
            if not stat.S_ISREG(facts.st_mode):
                return None
            known, version = self._files.get(path), _version(facts)
            if known is not None and known.is_settled and known.version == version:
                return known
            settled = _is_settled(facts)
            data = _read(path)
        except OSError as e:
            if is_absent(e):
                return None
            raise self._refused(path, e, _subject(path)) from e
        digest = Digest.of(data).hex
        if known is not None and known.version == version and known.file.digest == digest:
            return known._replace(is_settled=settled)
        modified_at = min(max(facts.st_mtime, 0.0), _LATEST)
        return _Known(_parsed(path, digest, data, modified_at), version, settled)

    def _refused(self, path: str, error: OSError, subject: str = "") -> StorageUnreadable:
        """Log the path of what cannot be read, and return what to raise."""
        refusal = unreadable(error, subject or "the models directory")
        if self._reported != (path, refusal.reason):
            self._reported = path, refusal.reason
            _log.warning("%s cannot be read: %s", ascii(path), refusal.reason)
        return refusal


def _subject(path: str) -> str:
    name = _name_of(path)
    return f"the manifest of model '{name.short}'" if name else ""


def _read(path: str) -> bytes:
    with open_regular(Path(path), follow_links=True) as file:
        return file.read(LARGEST_MANIFEST + 1)


def _version(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino


def _is_settled(facts: os.stat_result) -> bool:
    return time.time_ns() - max(facts.st_mtime_ns, facts.st_ctime_ns) > _SETTLED_NS


def _parsed(path: str, digest: str, data: bytes, modified_at: float) -> ManifestFile:
    name, manifest, damage = _name_of(path), None, ""
    if name is None:
        damage = "its path is not a model name"
    try:
        manifest = parse_manifest(name.short if name else "", data)
    except ManifestInvalid as e:
        damage = damage or e.reason
    named = manifest.digests if manifest else digests_in(data)
    return ManifestFile(path, name, digest, manifest, damage, named, modified_at)


def _name_of(path: str) -> ModelName | None:
    try:
        return ModelName(*path.split("/")[-MANIFEST_DEPTH:])
    except InvalidName:
        return None
