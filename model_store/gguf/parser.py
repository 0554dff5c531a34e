"""GGUF header parser for files of versions 1 to 3, in either byte order.

The file is untrusted: every length is checked against a limit and against what is left of the
file, and every tensor must lie inside the file and apart from the others. Time and memory are
bounded too, whatever the file says.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from model_store.disk import open_regular
from model_store.errors import GGUFError
from model_store.gguf.header import Array, GGUFHeader, Scalar, Tensor, Value
from model_store.gguf.source import LONGEST_STRING, ByteSource, too_long
from model_store.gguf.types import ARRAY, REMOVED_TENSOR_TYPES, SCALARS, STRING, TENSOR_TYPES

T = TypeVar("T")

_MAGIC = b"GGUF"
_MAGIC_BIG_ENDIAN = b"FUGG"
_VERSIONS = (1, 2, 3)
_MAX_ARRAY = 67_108_864
_MAX_DIMENSIONS = 4
_LARGEST_NUMBER = 2**64 - 1
_DEFAULT_ALIGNMENT = 32
_MAX_SHOWN = 64
_SINGLE = struct.Struct("<f")
_MIN_DIGITS, _MAX_DIGITS = 6, 10

MAX_KEYS = 2**16
MAX_TENSORS = 2**17
_SHORT_ARRAY = 1024
"""Arrays of numbers up to this length (one per layer) are always read, vocabularies on demand."""
_MAX_BYTES, _MAX_BYTES_WITH_ARRAYS = 2**24 + 2**20, 2**28
"""Bytes of metadata that are held in memory, as they are in the file."""
_MAX_VALUES, _MAX_VALUES_WITH_ARRAYS = 2**16, 2**22
"""Elements of arrays that are held in memory, at about 40 bytes and 2 microseconds each. A model of
500 layers with 40 numbers for each has 20,000; arrays beyond stay unread even on demand."""


def read_header(path: Path, *, with_arrays: bool = False) -> GGUFHeader:
    """Read the header of the file at `path`; `with_arrays` also reads long arrays.

    Raises:
        GGUFError: the file is damaged, or not a GGUF file.
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return _Parser(ByteSource(file.fileno()), with_arrays=with_arrays).header()


@dataclass(frozen=True, slots=True)
class FileOffsets:
    """Byte offsets of the parts of a file: of each key with its value, and of the tensor data."""

    header: GGUFHeader
    order: str
    keys: dict[str, tuple[int, int]]
    data: int


def read_offsets(path: Path) -> FileOffsets:
    """Read the header of the file at `path` and its offsets; raises as `read_header`."""
    with open_regular(path) as file:
        parser = _Parser(ByteSource(file.fileno()), with_arrays=False)
        header = parser.header()
        return FileOffsets(header, parser.order, parser.keys, parser.data)


class _Parser:
    """Reads one file from the front."""

    def __init__(self, source: ByteSource, *, with_arrays: bool) -> None:
        self._source = source
        self._with_arrays = with_arrays
        self._bytes_left = _MAX_BYTES_WITH_ARRAYS if with_arrays else _MAX_BYTES
        self._values_left = _MAX_VALUES_WITH_ARRAYS if with_arrays else _MAX_VALUES
        self.order, self._version = _order_and_version(source)
        self.keys: dict[str, tuple[int, int]] = {}
        self.data = 0
        self._length = struct.Struct(self.order + ("I" if self._version == 1 else "Q"))
        self._u32, self._u64 = struct.Struct(self.order + "I"), struct.Struct(self.order + "Q")

    def header(self) -> GGUFHeader:
        n_tensors, n_keys = self._number(self._length), self._number(self._length)
        if n_tensors > MAX_TENSORS:
            raise GGUFError(f"GGUF tensor count {n_tensors} exceeds maximum {MAX_TENSORS}")
        if n_keys > MAX_KEYS:
            raise GGUFError(f"GGUF key count {n_keys} exceeds maximum {MAX_KEYS}")
        metadata = self._metadata(n_keys)
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        alignment = _alignment(metadata)
        self.data = -(-self._source.position // alignment) * alignment
        _check_tensors(tensors, self.data, alignment, self._source.size)
        return GGUFHeader(self._version, metadata, tensors)

    def _metadata(self, n_keys: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(n_keys):
            start = self._source.position
            key = self._string()
            if key in metadata:
                raise GGUFError(f'GGUF key "{_shown(key)}" occurs twice')
            metadata[key] = self._value(self._number(self._u32))
            self.keys[key] = start, self._source.position
        return metadata

    def _number(self, form: struct.Struct) -> int:
        (number,) = form.unpack(self._source.take(form.size))
        assert isinstance(number, int)
        return number

    def _string(self) -> str:
        length = self._number(self._length)
        if length > LONGEST_STRING:
            raise too_long(length)
        self._keep(length)
        return self._source.take(length).decode("utf-8", "replace")

    def _keep(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise GGUFError("GGUF metadata is too large")

    def _value(self, kind: int) -> Value:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            return self._array()
        if kind not in SCALARS:
            raise GGUFError(f"invalid type: {kind}")
        return self._scalars(SCALARS[kind], 1)[0]

    def _array(self) -> Array:
        kind, length = self._number(self._u32), self._number(self._length)
        if kind != STRING and kind not in SCALARS:
            raise GGUFError(f"invalid array type: {kind}")
        if length > _MAX_ARRAY:
            raise GGUFError(f"GGUF array size {length} exceeds maximum {_MAX_ARRAY}")
        is_read = self._with_arrays or (length <= _SHORT_ARRAY and kind != STRING)
        if not is_read or length > self._values_left:
            self._skip(kind, length)
            return Array(length, None)
        self._values_left -= length
        if kind == STRING:
            return Array(length, tuple(self._string() for _ in range(length)))
        return Array(length, self._scalars(SCALARS[kind], length))

    def _scalars(self, code: str, count: int) -> tuple[Scalar, ...]:
        form = struct.Struct(f"{self.order}{count}{code}")
        self._keep(form.size)
        values = form.unpack(self._source.take(form.size))
        return tuple(map(_shortest, values)) if code == "f" else values

    def _skip(self, kind: int, length: int) -> None:
        if kind == STRING:
            self._source.skip_strings(length, self._length)
        else:
            self._source.skip(length * struct.calcsize("<" + SCALARS[kind]))

    def _tensor(self) -> Tensor:
        name = _part("name", self._string)
        label = f'tensor "{_shown(name)}"'
        n_dimensions = _part("dimensions", lambda: self._number(self._u32))
        if n_dimensions > _MAX_DIMENSIONS:
            raise GGUFError(f"{label} dimensions {n_dimensions} exceeds maximum {_MAX_DIMENSIONS}")
        shape = tuple(
            _part("shape", lambda: self._number(self._length)) for _ in range(n_dimensions)
        )
        kind = _part("kind", lambda: self._number(self._u32))
        offset = _part("offset", lambda: self._number(self._u64))
        n_elements = math.prod(shape)
        if n_elements > _LARGEST_NUMBER:
            raise GGUFError(f"{label} elements overflow")
        if kind in REMOVED_TENSOR_TYPES:
            raise GGUFError(
                f"{label} is of type {kind}, which llama.cpp no longer reads: "
                "pull or convert the model again"
            )
        known = TENSOR_TYPES.get(kind)
        if known is None or (shape and shape[0] % known.block):
            raise GGUFError(f"{label} size overflow")
        size = n_elements // known.block * known.block_bytes
        return Tensor(name, known.name, shape, offset, size, n_elements)


def _order_and_version(source: ByteSource) -> tuple[str, int]:
    """Read magic and version; the version shows the byte order when the magic does not."""
    if source.size < len(_MAGIC):
        raise GGUFError("invalid file magic")
    magic = source.take(len(_MAGIC))
    if magic not in (_MAGIC, _MAGIC_BIG_ENDIAN):
        raise GGUFError("invalid file magic")
    data = source.take(4)
    little, big = int.from_bytes(data, "little"), int.from_bytes(data, "big")
    if magic == _MAGIC and little in _VERSIONS:
        return "<", little
    if big in _VERSIONS:
        return ">", big
    raise GGUFError(f"GGUF version {little if magic == _MAGIC else big} is not supported")


def _part(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except GGUFError as e:
        raise GGUFError(f"failed to read tensor {what}: {e}") from e


def _alignment(metadata: dict[str, Value]) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0 or value & (value - 1):
        raise GGUFError(f"invalid GGUF alignment: {value if isinstance(value, int) else 0:d}")
    return value


def _check_tensors(tensors: tuple[Tensor, ...], start: int, alignment: int, file_size: int) -> None:
    """Refuse tensors that are not aligned, not inside the file or not apart from each other."""
    if sum(tensor.n_elements for tensor in tensors) > _LARGEST_NUMBER:
        raise GGUFError("parameter count overflow")
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise GGUFError("two tensors have the same name")
    for tensor in tensors:
        _check_place(tensor, start, alignment, file_size)
    for before, tensor in pairwise(sorted(tensors, key=lambda t: (t.offset, t.size))):
        if tensor.offset < before.offset + before.size:
            raise GGUFError(f'tensor "{_shown(tensor.name)}" overlaps another tensor')


def _check_place(tensor: Tensor, start: int, alignment: int, file_size: int) -> None:
    label, end = f'tensor "{_shown(tensor.name)}"', start + tensor.offset + tensor.size
    if start + tensor.offset > _LARGEST_NUMBER:
        raise GGUFError("GGUF tensor offset overflow")
    if end > _LARGEST_NUMBER:
        raise GGUFError(f"{label} offset+size overflows")
    if end > file_size:
        raise GGUFError(f"{label} offset+size ({end}) exceeds file size ({file_size})")
    if tensor.offset % alignment:
        raise GGUFError(f"{label} offset {tensor.offset} is not a multiple of {alignment}")


def _shortest(value: float) -> float:
    """Return the double with the fewest decimal digits that is `value` in single precision."""
    for digits in range(_MIN_DIGITS, _MAX_DIGITS):
        short = float(f"{value:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return short
    return value


def _shown(name: str) -> str:
    return name[:_MAX_SHOWN]
