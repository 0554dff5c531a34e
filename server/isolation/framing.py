"""Frames between the server and a worker process: a four-byte length, then so many bytes.

The server sends jobs. The worker answers each with one frame, whose first byte is a `Status`.
"""

from enum import IntEnum
from typing import Final

HEADER_SIZE: Final = 4


class Status(IntEnum):
    """How a job ended."""

    DONE = 0
    """The answer follows."""
    OUT_OF_MEMORY = 1
    FAILED = 2
    """A fault of the worker itself; its output has the stack trace."""


def header(size: int) -> bytes:
    """Return what stands before a frame of `size` bytes."""
    return size.to_bytes(HEADER_SIZE, "little")


def size_of(header: bytes | bytearray) -> int:
    """Return the size of the frame behind `header`."""
    return int.from_bytes(header, "little")
