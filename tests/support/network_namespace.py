"""Enter a network namespace of Linux with one thread, for sockets that belong to it."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW_NETWORK = 0x40000000


@contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Let this thread, and the processes that it starts, be in the namespace of a file."""
    with Path("/proc/thread-self/ns/net").open("rb") as outside:
        with namespace.open("rb") as file:
            _enter(file.fileno())
        try:
            yield
        finally:
            _enter(outside.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "setns")
