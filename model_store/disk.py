"""File operations that the store builds on: atomic replacement, regular files only, error texts."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from model_store.errors import NoSpace, StorageFailed, StorageUnreadable, TooManyOpenFiles

# A path that is too long, or that runs through a file or a loop of links, leads to nothing.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
# What opening a link, or a socket or a device without a driver, fails with.
_NOT_REGULAR = frozenset({errno.ELOOP, errno.ENXIO})


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the operating system refuses into StorageFailed, which names no path."""
    try:
        yield
    except OSError as e:
        if e.errno in _EXHAUSTED:
            raise TooManyOpenFiles from e
        raise StorageFailed(_reason(e)) from e


@contextlib.contextmanager
def read_errors(subject: str = "the models directory") -> Iterator[None]:
    """Turn a refusal to read `subject` into StorageUnreadable; FileNotFoundError passes."""
    try:
        yield
    except OSError as e:
        if is_absent(e):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from e
        raise unreadable(e, subject) from e


def unreadable(error: OSError, subject: str = "the models directory") -> StorageUnreadable:
    """Return what to raise when the operating system refuses to read `subject`."""
    if error.errno in _EXHAUSTED:
        return TooManyOpenFiles()
    return StorageUnreadable(_reason(error), subject)


def is_absent(error: OSError) -> bool:
    """Tell whether an error means that there is no such file; others tell nothing about that."""
    return error.errno in _ABSENT


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def open_regular(path: Path, *, follow_links: bool = False) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        FileNotFoundError: it is not there, or a pipe, a device, a socket, a directory or (unless
            `follow_links`) a link.
        OSError: it cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    except OSError as e:
        if e.errno not in _NOT_REGULAR:
            raise
        raise _not_regular(path) from None
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise _not_regular(path)


def _not_regular(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "not a regular file", str(path))


def is_regular(path: Path) -> bool:
    """Tell whether a regular file, not a link to one, lies at `path`.

    Raises:
        StorageUnreadable: the operating system does not tell.
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError as e:
        if is_absent(e):
            return False
        raise unreadable(e) from e


class FileVersion(NamedTuple):
    """A file that lies at `path`; one that replaces it there is another version."""

    path: Path
    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion":
        """Return the version that is there now; raises OSError."""
        facts = path.stat()
        return cls(path, facts.st_dev, facts.st_ino, facts.st_size)


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
