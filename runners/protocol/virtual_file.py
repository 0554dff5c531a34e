"""Virtual model files: what a runner reads in place of a file that llama.cpp does not understand.

The pieces lie behind each other in the virtual file: bytes, spans of the file on the disk, and
tensors of it in another order or type.
"""

import msgspec


class Span(msgspec.Struct, frozen=True, tag="span", tag_field="piece", array_like=True):
    """`size` bytes of the file on the disk, from `offset` on."""

    offset: int
    size: int


class Rearranged(msgspec.Struct, frozen=True, tag="rearranged", tag_field="piece", array_like=True):
    """`source_size` bytes of the file on the disk, rearranged to `size` bytes.

    They are an array of `shape`, the fastest dimension last: of elements of `type`, a ggml_type, to
    be converted to F32, or of bytes where it is None. `pick` selects one index of an axis, and so
    removes the axis; then the axes are put in `order`. `grid` are the sides of two squares: the
    rows are positions in the first, and are interpolated (bilinear, half-pixel centres) for the
    second.
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


class VirtualFile(msgspec.Struct, frozen=True):
    """A virtual file of `size` bytes, made of the file at `source`."""

    source: str
    pieces: tuple[Piece, ...]
    size: int
