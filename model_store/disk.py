"""File operations that the store builds on: nothing half-written is seen, nothing odd is opened."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from model_store.errors import NoSpace, StorageFailed


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the operating system refuses into StorageFailed, which names no path."""
    try:
        yield
    except OSError as e:
        raise StorageFailed((e.strerror or type(e).__name__).lower()) from e


def open_regular(path: Path, *, follow_links: bool = False) -> BinaryIO:
    """Open a file for reading; a pipe, a device and (unless `follow_links`) a link are refused.

    Raises:
        OSError: it is not there, not readable or not a regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("not a regular file")


def is_regular(path: Path) -> bool:
    """Tell whether a regular file, not a link to one, lies at `path`."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def replace_durably(written: Path, final: Path) -> None:
    """Give a file that was written and synced its final name, so that a crash cannot undo it."""
    written.replace(final)
    descriptor = os.open(final.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(directory: Path) -> int:
    """Return how many bytes the disk of `directory` has left for us; raises OSError."""
    return shutil.disk_usage(directory).free


def require_space(directory: Path, needed: int) -> None:
    """Raise NoSpace when the disk of `directory` has less than `needed` bytes left."""
    free = free_space(directory)
    if free < needed:
        raise NoSpace(needed, free)
