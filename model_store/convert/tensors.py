"""Read safetensors files: memory-mapped tensors, a block of rows at a time."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from model_store.errors import CreateError

Array = npt.NDArray[np.generic]

STORED: dict[str, np.dtype[np.generic]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E5M2": np.dtype("u1"),
}
"""What numpy is told of each type that can be converted; it has no bfloat16 and no FP8."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6,
    "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
_LENGTH_BYTES = 8
_MOST_DIMENSIONS = 5
"""Those of a convolution over images and time; GGUF files have four at most."""
_MAX_TENSORS = 2**17
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor's place in the file at `path`; the slowest dimension of `shape` comes first.

    Its numbers are multiplied by those of `scales`, each of which is for a block of `scale_block`
    rows and columns.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    scales: "SourceTensor | None" = None
    scale_block: tuple[int, int] = (1, 1)

    def open(self) -> Array:
        """Map the tensor; bfloat16 and FP8 appear as their bits. Raises CreateError."""
        stored = STORED.get(self.dtype)
        if stored is None:
            raise CreateError(
                f'the tensor "{shown(self.name)}" has numbers of the type {self.dtype}; '
                "F32, F16, BF16 and FP8 can be converted"
            )
        if not math.prod(self.shape):
            return np.empty(self.shape, stored)
        mapped: Array = np.memmap(self.path, stored, "r", self.offset, self.shape)
        return mapped

    def open_bytes(self) -> npt.NDArray[np.uint8]:
        """Map the tensor, whose numbers are packed into bytes. Raises CreateError."""
        if self.dtype != "U8":
            raise CreateError(f'the tensor "{shown(self.name)}" is of type {self.dtype}, not U8')
        mapped: npt.NDArray[np.uint8] = np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
        return mapped


def read_index(file: str, path: Path) -> list[SourceTensor]:
    """Return the tensors of the safetensors file at `path`, which is called `file` in errors.

    Raises:
        CreateError: the file is damaged or hostile.
    """
    try:
        with safe_open(path, "numpy") as opened:
            names = opened.offset_keys()
            if len(names) > _MAX_TENSORS:
                raise CreateError(f"{file} has more than {_MAX_TENSORS} tensors")
            slices = [opened.get_slice(name) for name in names]
            entries = [(s.get_dtype(), tuple(s.get_shape())) for s in slices]
    except (SafetensorError, OSError, UnicodeError) as e:
        raise CreateError(f"{file} is damaged or not a safetensors file") from e
    # The library has made sure that the tensors follow each other without a gap, up to the end.
    with path.open("rb") as opened_file:
        header = int.from_bytes(opened_file.read(_LENGTH_BYTES), "little")
    offset, tensors = _LENGTH_BYTES + header, []
    for name, (dtype, shape) in zip(names, entries, strict=True):
        if dtype not in _BITS:
            raise CreateError(f'the tensor "{shown(name)}" has an unsupported type')
        if len(shape) > _MOST_DIMENSIONS:
            raise CreateError(
                f'the tensor "{shown(name)}" has more than {_MOST_DIMENSIONS} dimensions'
            )
        tensors.append(SourceTensor(name, dtype, shape, path, offset))
        offset += math.prod(shape) * _BITS[dtype] // 8
    return tensors


def shown(name: str) -> str:
    """Return the name of a tensor as far as it is shown to people."""
    return name[:_MOST_SHOWN]


def spans(n_rows: int, rows_at_once: int) -> list[tuple[int, int]]:
    """Return first and last-plus-one of each block of rows."""
    return list(pairwise([*range(0, n_rows, max(1, rows_at_once)), n_rows])) if n_rows else []
