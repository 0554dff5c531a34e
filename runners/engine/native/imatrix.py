"""Read importance matrices (imatrix), by which quantizing weighs the columns of each tensor.

Two formats are published: GGUF files with the sums of squared inputs (`NAME.in_sum2`) and how many
there were (`NAME.counts`), and the older one of `llama-imatrix`, a list of entries in binary.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Columns = npt.NDArray[np.float32]
_SUMS, _COUNTS = ".in_sum2", ".counts"
_MAGIC: Final = b"GGUF"
_MOST_ENTRIES, _LONGEST_NAME = 1 << 20, 1 << 10


class ImatrixError(ValueError):
    """A file is no importance matrix."""


def read_imatrix(path: Path) -> Mapping[str, Columns]:
    """Return the mean square of each column's input, by the name of the tensor.

    Tensors of several matrices (experts) have the columns of all, one after the other; a matrix
    that got no input counts all its columns alike.

    Raises:
        ImatrixError: the file is in neither format, or damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        is_gguf = file.read(len(_MAGIC)) == _MAGIC
    try:
        entries = dict(_of_gguf(path) if is_gguf else _of_legacy(path.read_bytes()))
    except (struct.error, ValueError, KeyError, IndexError, UnicodeDecodeError) as e:
        raise ImatrixError from e
    if not entries or not all(np.isfinite(columns).all() for columns in entries.values()):
        raise ImatrixError
    return entries


def _of_gguf(path: Path) -> Iterator[tuple[str, Columns]]:
    from gguf import GGUFReader  # noqa: PLC0415 - quantizing alone needs it

    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    for name, tensor in tensors.items():
        if name.endswith(_SUMS):
            base = name.removesuffix(_SUMS)
            counts = np.asarray(tensors[base + _COUNTS].data, np.float32).reshape(-1, 1)
            sums = np.asarray(tensor.data, np.float32).reshape(len(counts), -1)
            yield base, _means(sums, counts)


def _of_legacy(data: bytes) -> Iterator[tuple[str, Columns]]:
    (n_entries,) = struct.unpack_from("<i", data)
    position = 4
    if not 0 < n_entries <= _MOST_ENTRIES:
        raise ImatrixError
    for _ in range(n_entries):
        (length,) = struct.unpack_from("<i", data, position)
        if not 0 < length <= _LONGEST_NAME:
            raise ImatrixError
        position += 4
        name = data[position : position + length].decode()
        n_calls, n_values = struct.unpack_from("<ii", data, position + length)
        position += length + 8
        if n_values < 1:
            raise ImatrixError
        sums = np.frombuffer(data, "<f4", n_values, position).astype(np.float32)
        position += sums.nbytes
        yield name, _means(sums.reshape(1, -1), np.array([[n_calls]], np.float32))


def _means(sums: Columns, counts: Columns) -> Columns:
    """Return the means of the rows, 1 in those that nothing was counted of."""
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.float32(1))
    return np.ascontiguousarray(means.reshape(-1), np.float32)
