"""Pruning: delete blobs that no model needs, and files of uploads and downloads that ended."""

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
from model_store.errors import InvalidDigest, StorageFailed
from model_store.layout import (
    BLOB_SCRATCH_PREFIX,
    MANIFEST_SCRATCH_PREFIX,
    PARTIAL_SUFFIX,
    UPLOAD_SUFFIX,
    Layout,
    derived_projector,
)
from model_store.scratch_files import remove_abandoned

_MIN_AGE = 3600
"""Seconds; younger files may belong to another server that shares the directory."""

_MIN_AGE_OF_DOWNLOADS = 7 * 24 * 3600
"""Seconds; a partial download is kept for a client that resumes it."""

_MIN_AGE_OF_UPLOADS = 24 * 3600
"""Seconds; what has arrived of an upload that broke off is kept for a client that resumes it."""

_log = logging.getLogger(__name__)


def rename_old_blobs(layout: Layout) -> None:
    """Give blobs of very old stores (`sha256:…`) the name that is used today."""
    with disk_errors():
        for path in layout.blobs.glob("sha256:*"):
            target = path.with_name(path.name.replace(":", "-", 1))
            if not target.exists():
                path.rename(target)


def prune(layout: Layout, catalog: Catalog) -> None:
    """Delete what nothing refers to; what cannot be proven to be unused stays, and the log says so.

    Raises:
        StorageFailed: the directory of the blobs cannot be read.
    """
    with disk_errors():
        files = list(_old_files(layout.blobs))
        live = _live_downloads(layout.blobs)
        blobs = [digest for path in files if (digest := _digest(path.name)) is not None]
        with contextlib.suppress(StorageFailed):
            catalog.remove_unreferenced(blobs, min_age=_MIN_AGE)
        for path in files:
            if not _is_known(path.name) and _download(path.name) not in live:
                _remove(path)
        remove_scratch(layout)
        remove_orphaned_projectors(layout)
        _remove_empty_folders(layout.manifests)


def remove_scratch(layout: Layout) -> None:
    """Remove what killed uploads and other work left; raises OSError.

    What a living process has locked stays; where files cannot be locked, what is young. Uploads
    that can be resumed stay for a day.
    """
    blobs = layout.blobs.glob(BLOB_SCRATCH_PREFIX + "*")
    manifests = layout.manifests.glob(MANIFEST_SCRATCH_PREFIX + "*")
    for path in (*blobs, *manifests):
        if remove_abandoned(path) is None and _is_old_file(path):
            _remove(path)
    for path in layout.blobs.glob(f"sha256-*{UPLOAD_SUFFIX}"):
        if _is_old_file(path, _MIN_AGE_OF_UPLOADS):
            _remove(path)


def remove_orphaned_projectors(layout: Layout) -> None:
    """Remove projectors whose blob is gone, and what killed runners and older versions left.

    Raises OSError.
    """
    for path in layout.projectors.glob("sha256-*"):
        blob = layout.blobs / path.name.partition(".")[0]
        is_current = path == derived_projector(blob)
        if not blob.exists() or (not is_current and _is_old_file(path)):
            path.unlink(missing_ok=True)


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


def _is_known(name: str) -> bool:
    """Whether a file is a blob, or an upload that can be resumed, which have rules of their own."""
    return _digest(name.removesuffix(UPLOAD_SUFFIX)) is not None


def _old_files(folder: Path) -> Iterator[Path]:
    return filter(_is_old_file, folder.iterdir())


def _is_old_file(path: Path, age: float = _MIN_AGE) -> bool:
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_mtime < time.time() - age


def _remove(path: Path) -> None:
    """Remove a scratch file, unless somebody writes to it."""
    if remove_abandoned(path) is not None:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        _log.warning("an unused file cannot be removed: %s", e)


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
