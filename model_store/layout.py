"""Layout of a store: the paths of its blobs, manifests and scratch files.

    <root>/blobs/sha256-<hex>                               one blob
    <root>/blobs/sha256-<hex>-partial                       a blob that is being downloaded
    <root>/blobs/sha256-<hex>-partial-<number>              how far a part of it is
    <root>/blobs/sha256-<hex>-upload                        the part of an upload that has arrived
    <root>/blobs/sha256-new-<anything>                      a blob that is being written
    <root>/manifests/<host>/<namespace>/<model>/<tag>       one manifest
    <root>/manifests/.new-<anything>                        a manifest that is being written
    <root>/projectors/sha256-<hex>.<revision>.gguf          a projector that was taken out of a blob
    <root>/projectors/<its name>.new-<number>               one that is being written
    <root>/.paddock-bundled                                 the bundled models were installed once

The projectors are a cache: runners write one that is missing, and it is removed with its blob.

A manifest is written beside the directories of the hosts: on the same file system as its final
place, and where no reader looks, because readers take only files four levels down.
"""

import errno
import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from model_store.digests import Digest
from model_store.errors import StorageMissing
from model_store.names import ModelName

BLOB_SCRATCH_PREFIX = "sha256-new-"
PARTIAL_SUFFIX = "-partial"
UPLOAD_SUFFIX = "-upload"
MANIFEST_SCRATCH_PREFIX = ".new-"
MANIFEST_DEPTH = 4
_PROJECTOR_REVISION = 1
"""Of how projectors are taken out of files; those of another one are written again."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a store below `root`."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Directory of the blobs."""
        return _inside(self.root, "blobs")

    @property
    def manifests(self) -> Path:
        """Directory of the manifests."""
        return _inside(self.root, "manifests")

    @property
    def projectors(self) -> Path:
        """Directory of the projectors that were taken out of blobs."""
        return self.root / "projectors"

    @property
    def bundled_mark(self) -> Path:
        """File that is there once the bundled models were installed."""
        return self.root / ".paddock-bundled"

    def create(self) -> None:
        """Create the directories of a new store; of one that is there, as `make`."""
        if not self.blobs.is_dir():
            self.manifests.mkdir(parents=True, exist_ok=True)
        self.make()

    def make(self) -> None:
        """Create what is missing of a store that is there.

        Raises:
            StorageMissing: it has vanished; what is written now would hide it, and what is
                deleted would be missed when it is back.
            OSError: a directory cannot be created.
        """
        try:
            if not self.manifests.is_dir():
                self.require_manifests()
                self.manifests.mkdir(exist_ok=True)
            self.blobs.mkdir(exist_ok=True)
        except FileExistsError:
            if self.blobs.is_symlink() or self.manifests.is_symlink():
                # It leads to a disk that is not mounted.
                raise StorageMissing from None
            raise

    def require_manifests(self) -> None:
        """Raise StorageMissing unless it is all right that there is no directory of manifests.

        It is while there are no blobs: other programs remove the directory when it is empty.
        """
        if not self.blobs.is_dir() or any(self.blobs.iterdir()):
            raise StorageMissing

    def check(self) -> None:
        """Raise unless blobs can be read and added; writes nothing.

        Raises:
            StorageMissing: the store has vanished.
            OSError: a directory cannot be listed or written, or its disk is full.
        """
        if not self.manifests.is_dir():
            self.require_manifests()
        for folder in (self.blobs, self.manifests):
            if not folder.exists():
                continue
            next(folder.iterdir(), None)
            if not os.access(folder, os.W_OK):
                # The calls that name the reason would write: a read-only file system or rights.
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        if not shutil.disk_usage(self.blobs).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.blobs)

    def blob(self, digest: Digest) -> Path:
        """Path of a blob."""
        return _inside(self.blobs, f"sha256-{digest.hex}")

    def partial(self, digest: Digest) -> Path:
        """Path of a blob that is being downloaded; what lies beside it begins with its name."""
        return self.blobs / f"sha256-{digest.hex}{PARTIAL_SUFFIX}"

    def upload(self, digest: Digest) -> Path:
        """Path of what has arrived of a blob whose upload can be resumed."""
        return self.blobs / f"sha256-{digest.hex}{UPLOAD_SUFFIX}"

    def manifest(self, name: ModelName) -> Path:
        """Path of a manifest."""
        return _inside(self.manifests, *name.parts)


@lru_cache(maxsize=512)
def _inside(folder: Path, *parts: str) -> Path:
    """Join a path; those of the models in use are kept, for joining takes longer than a stat."""
    return folder.joinpath(*parts)


def derived_projector(blob: Path) -> Path:
    """Path of the projector that is taken out of the file `blob`."""
    name = f"{blob.name}.{_PROJECTOR_REVISION}.gguf"
    return Layout(blob.parent.parent).projectors / name
