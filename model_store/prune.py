"""What a start of the server tidies up: blobs that no model needs, and scratch files."""

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from model_store.catalog import Catalog
from model_store.digests import Digest
from model_store.disk import disk_errors
from model_store.errors import InvalidDigest
from model_store.layout import MANIFEST_SCRATCH_PREFIX, PARTIAL_SUFFIX, Layout

_MIN_AGE = 3600
"""Seconds; younger files may belong to another server that shares the directory."""

_MIN_AGE_OF_DOWNLOADS = 7 * 24 * 3600
"""Seconds; what has come of a download is kept for somebody who goes on with it."""

_log = logging.getLogger(__name__)


def rename_old_blobs(layout: Layout) -> None:
    """Give blobs of very old stores (`sha256:…`) the name that is used today."""
    with disk_errors():
        for path in layout.blobs.glob("sha256:*"):
            path.rename(path.with_name(path.name.replace(":", "-", 1)))


def prune(layout: Layout, catalog: Catalog) -> int:
    """Delete what nothing refers to, and return how many files that were.

    Nothing is deleted while a manifest is damaged: which blobs it needs is not known for sure.
    """
    if damaged := catalog.damaged():
        names = ", ".join(name.short for name in damaged)
        _log.warning("unused blobs are kept, because of damaged manifests: %s", names)
        _log.warning("delete these models or pull them again to free the space")
        return 0
    used = catalog.referenced()
    wanted = _live_downloads(layout.blobs)
    unused = [
        path
        for path in _old_files(layout.blobs)
        if _digest(path.name) not in used and _download(path.name) not in wanted
    ]
    stale = layout.manifests.glob(MANIFEST_SCRATCH_PREFIX + "*")
    removed = sum(map(_remove, [*unused, *filter(_is_old_file, stale)]))
    _remove_empty_folders(layout.manifests)
    return removed


def _live_downloads(folder: Path) -> frozenset[str]:
    """Return the downloads of which any file is young: the files of one live and die together.

    Of a download that is under way, the files of parts that came first are the oldest.
    """
    return frozenset(
        download
        for path in folder.iterdir()
        if (download := _download(path.name)) and not _is_old_file(path, _MIN_AGE_OF_DOWNLOADS)
    )


def _download(name: str) -> str:
    """Return what the files of one download have in common, empty for any other file."""
    blob, mark, _ = name.partition(PARTIAL_SUFFIX)
    return blob if mark and _digest(blob) else ""


def _old_files(folder: Path) -> Iterator[Path]:
    return filter(_is_old_file, folder.iterdir())


def _is_old_file(path: Path, age: float = _MIN_AGE) -> bool:
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_mtime < time.time() - age


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as e:
        _log.warning("an unused file cannot be removed: %s", e)
        return False
    return True


def _remove_empty_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _digest(name: str) -> Digest | None:
    try:
        return Digest.parse(name)
    except InvalidDigest:
        return None
