"""Read a virtual file: spans of a file on the disk at once, rearranged tensors by numpy."""

import itertools
import os
from bisect import bisect_right
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from runners.engine.native.llama import type_traits
from runners.protocol.virtual_file import Piece, Rearranged, Span, VirtualFile

BLOCK = 2**24
"""Bytes that are read at once, so that a load can be cancelled and other threads run."""

_F32 = 0
"""The only ggml type that is not converted."""


class VirtualReader:
    """Random access to the bytes of `file`; for one thread at a time. Raises OSError."""

    def __init__(self, file: VirtualFile) -> None:
        self.size = file.size
        self._pieces = file.pieces
        sizes = (len(p) if isinstance(p, bytes) else p.size for p in file.pieces)
        self._starts = list(itertools.accumulate(sizes, initial=0))
        if self._starts[-1] != file.size:
            raise OSError("the pieces of a virtual file do not make its size")
        self._descriptor = os.open(file.source, os.O_RDONLY | os.O_CLOEXEC)
        self._rearranged: tuple[Rearranged, bytes] | None = None

    def close(self) -> None:
        """Close the file on the disk."""
        os.close(self._descriptor)
        self._rearranged = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def read_into(self, position: int, target: memoryview) -> int:
        """Fill the beginning of `target` with what is at `position`; return how many bytes.

        It is 0 only at the end, and may be less than there is room for.
        """
        if position >= self.size or not target:
            return 0
        number = bisect_right(self._starts, position) - 1
        start, end = self._starts[number], self._starts[number + 1]
        target = target[: min(end - position, BLOCK)]
        return self._read_piece(self._pieces[number], position - start, target)

    def _read_piece(self, piece: Piece, start: int, target: memoryview) -> int:
        if isinstance(piece, Span):
            count = os.preadv(self._descriptor, [target], piece.offset + start)
            if not count:
                raise OSError("the model file became shorter while it was read")
            return count
        data = piece if isinstance(piece, bytes) else self._data_of(piece)
        target[:] = data[start : start + len(target)]
        return len(target)

    def _data_of(self, piece: Rearranged) -> bytes:
        if self._rearranged is None or self._rearranged[0] is not piece:
            source = os.pread(self._descriptor, piece.source_size, piece.offset)
            self._rearranged = piece, rearranged(source, piece)
        return self._rearranged[1]


def rearranged(source: bytes, piece: Rearranged) -> bytes:
    """Return the bytes of `piece`, whose bytes in the file are `source`; raises OSError."""
    try:
        array: npt.NDArray[Any]
        if piece.type is None:
            array = np.frombuffer(source, np.uint8).reshape(piece.shape)
        else:
            array = _to_f32(source, piece.type, int(np.prod(piece.shape))).reshape(piece.shape)
        if piece.pick is not None:
            array = np.take(array, [piece.pick[1]], axis=piece.pick[0]).squeeze(piece.pick[0])
        if piece.order is not None:
            array = array.transpose(piece.order)
        if piece.grid is not None:
            array = _interpolated(array, *piece.grid)
        data = array.tobytes()
    except (ValueError, IndexError) as e:
        raise OSError("a tensor of the model file has another shape than its header says") from e
    if len(data) != piece.size:
        raise OSError("a tensor of the model file has another size than its header says")
    return data


def _interpolated(rows: npt.NDArray[Any], old: int, new: int) -> npt.NDArray[np.float32]:
    """Return the rows of a square of side `new`, made of those of a square of side `old`."""
    square = rows.reshape(old, old, -1)
    centres = (np.arange(new) + 0.5) * (old / new) - 0.5
    first = np.floor(centres).astype(np.intp)
    weights = (centres - first).astype(np.float32)[:, None, None]
    before, after = np.clip(first, 0, old - 1), np.clip(first + 1, 0, old - 1)
    for _ in range(2):  # along the rows of the square, then along its columns
        mixed = square[before] * (1 - weights) + square[after] * weights
        square = mixed.transpose(1, 0, 2)
    return np.ascontiguousarray(square, np.float32)


def copy_to(file: VirtualFile, target: BinaryIO) -> None:
    """Write all bytes of the virtual file to `target`. Raises OSError."""
    buffer = memoryview(bytearray(BLOCK))
    with VirtualReader(file) as reader:
        position = 0
        while count := reader.read_into(position, buffer):
            target.write(buffer[:count])
            position += count


def write_copy(file: VirtualFile, path: Path) -> None:
    """Write the virtual file to `path`, where it appears only once it is whole. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        with scratch.open("wb") as target:
            copy_to(file, target)
            target.flush()
            os.fsync(target.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _to_f32(source: bytes, kind: int, count: int) -> npt.NDArray[np.float32]:
    """Convert `count` elements of the ggml type `kind`; raises ValueError where that fails."""
    if kind == _F32:
        return np.frombuffer(source, np.float32)
    traits = type_traits(kind)
    if not traits.to_float or count % traits.block:
        raise ValueError(kind)
    if len(source) != count // traits.block * traits.type_size:
        raise ValueError(len(source))
    result = np.empty(count, np.float32)
    traits.to_float(source, result.ctypes.data, count)
    return result
