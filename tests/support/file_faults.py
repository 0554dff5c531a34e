"""File operations that the operating system refuses: faults without a broken disk.

The functions of `os`, through which all files are reached, are replaced for as long as a block
lasts; the code under test is the real one and meets a fault where the system would report it.
"""

import errno
import fcntl
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

ERRNOS = (errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOSPC)
"""Too many open files; not allowed; a broken disk; a stale network file; a full disk."""

_FUNCTIONS: dict[ModuleType, str] = {
    os: "chmod fchmod fstat fsync link listdir lstat mkdir open pread pwritev remove rename "
    "replace rmdir scandir stat statvfs unlink utime",
    fcntl: "flock",
    io: "open",
}
# Closing is left out: a descriptor is gone even when the system reports an error of it.

Decide = Callable[[str, str], int]
"""Gets an operation and the path it is for, "" if unknown; returns an errno, 0 for no fault."""


class _File(io.FileIO):
    """A file whose reads and writes are operations too."""

    decide: Callable[[str, object], None]

    def read(self, *args: Any) -> Any:
        self.decide("read", "")
        return super().read(*args)

    def readinto(self, *args: Any) -> Any:
        self.decide("read", "")
        return super().readinto(*args)

    def readall(self) -> Any:
        self.decide("read", "")
        return super().readall()

    def write(self, *args: Any) -> Any:
        self.decide("write", "")
        return super().write(*args)


@contextmanager
def file_faults(decide: Decide) -> Iterator[None]:
    """Ask `decide` about every file operation of this thread until the block ends."""
    own = threading.get_ident()

    def refuse(operation: str, target: object) -> None:
        if threading.get_ident() != own:
            return
        path = os.fsdecode(target) if isinstance(target, str | bytes | os.PathLike) else ""
        if code := decide(operation, path):
            raise OSError(code, os.strerror(code), path or None)

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            refuse(name, args[0] if args else "")
            return function(*args, **keywords)

        return call

    def fdopen(descriptor: int, mode: str = "r", buffering: int = -1, **_: Any) -> Any:
        file = _File(descriptor, mode.replace("b", ""))
        file.decide = refuse
        if buffering == 0:
            return file
        return io.BufferedReader(file) if file.readable() else io.BufferedWriter(file)

    with ExitStack() as stack:
        for module, names in _FUNCTIONS.items():
            for name in names.split():
                function = getattr(module, name)
                stack.callback(setattr, module, name, function)
                setattr(module, name, wrapped(name, function))
        stack.callback(setattr, os, "fdopen", os.fdopen)
        os.fdopen = fdopen
        yield
