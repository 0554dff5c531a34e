"""The directory tree of a store; no other file knows it.

    <root>/blobs/sha256-<hex>                               one blob
    <root>/blobs/sha256-<hex>-partial                       a blob that is being downloaded
    <root>/blobs/sha256-<hex>-partial-<number>              how far a part of it is
    <root>/blobs/sha256-<anything else>                     a blob that is being written
    <root>/manifests/<host>/<namespace>/<model>/<tag>       one manifest
    <root>/manifests/.new-<anything>                        a manifest that is being written
    <root>/.paddock-bundled                                 the bundled models were installed once

A manifest is written beside the directories of the hosts: on the same file system as its final
place, and where no reader looks, because readers take only files four levels down.
"""

from dataclasses import dataclass
from pathlib import Path

from model_store.digests import Digest
from model_store.names import ModelName

BLOB_SCRATCH_PREFIX = "sha256-"
PARTIAL_SUFFIX = "-partial"
MANIFEST_SCRATCH_PREFIX = ".new-"
MANIFEST_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a store below `root`."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Directory of the blobs."""
        return self.root / "blobs"

    @property
    def manifests(self) -> Path:
        """Directory of the manifests."""
        return self.root / "manifests"

    @property
    def bundled_mark(self) -> Path:
        """File that is there once the bundled models were installed."""
        return self.root / ".paddock-bundled"

    def make(self) -> None:
        """Create the directories that are missing."""
        for folder in (self.blobs, self.manifests):
            folder.mkdir(parents=True, exist_ok=True)

    def blob(self, digest: Digest) -> Path:
        """Path of a blob."""
        return self.blobs / f"sha256-{digest.hex}"

    def partial(self, digest: Digest) -> Path:
        """Path of a blob that is being downloaded; what lies beside it begins with its name."""
        return self.blobs / f"sha256-{digest.hex}{PARTIAL_SUFFIX}"

    def manifest(self, name: ModelName) -> Path:
        """Path of a manifest."""
        return self.manifests.joinpath(*name.parts)
