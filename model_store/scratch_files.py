"""Scratch files: files that are being written, locked by their writer for as long as it lives.

A file that nobody has locked belongs to a process that was killed, and may be removed at once. On
disks without locks, and for files of other programs, only age can tell.
"""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from pathlib import Path


def open_scratch(directory: Path, prefix: str) -> tuple[int, Path]:
    """Create a file with a name of its own; return its descriptor, which locks it, and its path.

    Raises:
        OSError: it cannot be created.
    """
    while True:
        descriptor, path = tempfile.mkstemp(prefix=prefix, dir=directory)
        try:
            # A disk without locks is no reason not to write.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, Path(path)):
                return descriptor, Path(path)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                Path(path).unlink()
            raise
        # Between creating and locking it, somebody took it for abandoned and removed it.
        os.close(descriptor)


def open_resumable(path: Path) -> int:
    """Open the scratch file at `path` to read and append, create it if needed, and lock it.

    Raises:
        BlockingIOError: somebody else writes to it.
        OSError: it cannot be opened, or is no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            _lock_regular(descriptor, path)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Between opening and locking it, somebody took it for abandoned and removed it.
        os.close(descriptor)


def remove_abandoned(path: Path) -> bool | None:
    """Remove a scratch file unless somebody writes to it; tell whether it was removed.

    None: that cannot be known, and the file is still there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return True


def _lock_regular(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a disk without locks is no reason not to write


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
