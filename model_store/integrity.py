"""Integrity of blobs: whether the bytes of each still have the digest that it is named by."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from model_store.blobs import blob_path
from model_store.digests import Digest
from model_store.disk import (
    FileVersion,
    disk_errors,
    is_absent,
    is_regular,
    open_regular,
    unreadable,
)
from model_store.errors import TooManyOpenFiles
from model_store.layout import Layout

_CHUNK = 1 << 20
_MOST_VERSIONS = 10_000
_Version = tuple[FileVersion, int]


class Damage(StrEnum):
    """What is wrong with a blob."""

    MISSING = "is missing"
    WRONG = "is damaged"
    UNREADABLE = "cannot be read"


class BlobIntegrity:
    """Hashes blobs, each once while its file stays the same; safe for several threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._intact: dict[Digest, _Version] = {}
        self._damaged: dict[Digest, _Version] = {}

    def check(
        self,
        digest: Digest,
        progress: Callable[[int], None] = lambda _: None,
        *,
        again: bool = False,
    ) -> Damage | None:
        """Return what is wrong with a blob, None for nothing; `progress` gets the bytes read.

        A file that was hashed before and has not changed since is not read, unless `again`: the
        bytes of a failing disk change without a trace.

        Raises:
            StorageUnreadable: the file cannot be opened now, which says nothing about it.
        """
        path = self._layout.blob(digest)
        if not is_regular(path):
            return Damage.MISSING
        try:
            version = _version(path)
        except OSError as e:
            return _damage_of(e)
        if not again and self._intact.get(digest) == version:
            return None
        damage: Damage | None = None
        try:
            if _hash(path, progress) != digest.hex:
                damage = Damage.WRONG
        except OSError as e:
            damage = _damage_of(e)
        if damage is None:
            self._record(digest, version)
        elif damage is not Damage.MISSING:
            self._intact.pop(digest, None)
            _remember(self._damaged, digest, version)
            if again:
                # A server that knows the file as intact looks again, because of its new time.
                with contextlib.suppress(OSError):
                    os.utime(path, follow_symlinks=False)
        return damage

    def is_known_damaged(self, digest: Digest) -> bool:
        """Tell whether the file that is there now was hashed and found to be wrong."""
        version = self._damaged.get(digest)
        if version is None:
            return False
        with contextlib.suppress(OSError):
            return _version(self._layout.blob(digest)) == version
        return False

    def trust(self, digest: Digest) -> None:
        """Note that a blob was written just now from bytes that were hashed."""
        with contextlib.suppress(OSError):
            self._record(digest, _version(self._layout.blob(digest)))

    def _record(self, digest: Digest, version: _Version) -> None:
        self._damaged.pop(digest, None)
        _remember(self._intact, digest, version)

    def touch(self, digests: Iterable[Digest]) -> None:
        """Mark blobs as used, so that no server that shares the directory prunes them.

        A blob that belongs to another user can only be read; that is no error.

        Raises:
            BlobNotFound: one is gone.
            StorageFailed: the disk is read-only or broken.
        """
        for digest in digests:
            path = blob_path(self._layout, digest)
            with disk_errors(), contextlib.suppress(PermissionError):
                before = _version(path)
                os.utime(path, follow_symlinks=False)
                if self._intact.get(digest) == before:
                    self._intact[digest] = _version(path)


def _version(path: Path) -> _Version:
    """Return what changes when a file is written or replaced."""
    return FileVersion.of(path), path.stat().st_mtime_ns


def _remember(versions: dict[Digest, _Version], digest: Digest, version: _Version) -> None:
    versions[digest] = version
    while len(versions) > _MOST_VERSIONS:
        versions.pop(next(iter(versions)), None)


def _damage_of(error: OSError) -> Damage:
    if is_absent(error):
        return Damage.MISSING
    if isinstance(refusal := unreadable(error), TooManyOpenFiles):
        raise refusal from error
    return Damage.UNREADABLE


def _hash(path: Path, progress: Callable[[int], None]) -> str:
    sha256 = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            progress(len(chunk))
    return sha256.hexdigest()
