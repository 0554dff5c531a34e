"""Pieces of a virtual GGUF file: bytes, spans of a file on the disk, and rearranged tensors.

A virtual file is what llama.cpp reads in place of a file of a legacy layout: its header is made
anew, its tensor data stay where they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes of the file, from `offset` on."""

    offset: int
    size: int

    @property
    def source_size(self) -> int:
        """Bytes of the file that have to be read."""
        return self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Rearranged:
    """A tensor of the file in another order or type; `size` is that of the result.

    The `source_size` bytes from `offset` on are an array of `shape`, the fastest dimension last:
    of elements when `type`, a ggml type, is to be converted to F32, otherwise (None) of bytes.
    `pick` selects one index of an axis, and so removes the axis; then the axes are put in `order`.
    `grid` are the sides of two squares: the rows are positions in the first, and are interpolated
    (bilinear, half-pixel centres) for the second.
    """

    offset: int
    source_size: int
    size: int
    shape: tuple[int, ...]
    type: int | None = None
    pick: tuple[int, int] | None = None
    order: tuple[int, ...] | None = None
    grid: tuple[int, int] | None = None


Piece = bytes | Span | Rearranged


def size_of(piece: Piece) -> int:
    """Return the bytes that `piece` takes in the virtual file."""
    return len(piece) if isinstance(piece, bytes) else piece.size


def joined(pieces: Iterator[Piece]) -> tuple[Piece, ...]:
    """Return `pieces` with neighbouring bytes joined, and without empty ones."""
    result: list[Piece] = []
    pending = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes):
            pending += piece
        elif piece.size:
            if pending:
                result.append(bytes(pending))
                pending.clear()
            result.append(piece)
    if pending:
        result.append(bytes(pending))
    return tuple(result)
