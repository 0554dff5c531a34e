"""The file of a legacy layout: its header, and where everything lies in it."""

import struct
from functools import cached_property
from pathlib import Path

from model_store.disk import open_regular
from model_store.errors import GGUFError
from model_store.gguf.header import Array, GGUFHeader, Tensor
from model_store.gguf.legacy.pieces import Span
from model_store.gguf.parser import read_offsets
from model_store.gguf.source import LONGEST_STRING, ByteSource, too_long
from model_store.gguf.types import SCALARS, STRING

_KIND, _LENGTH = struct.Struct("<I"), struct.Struct("<Q")
_HEAD = 2 * _KIND.size + _LENGTH.size
_MAX_ELEMENTS, _MAX_BYTES = 2**20, 2**26
"""Of a list that is read into memory; the largest vocabularies have a quarter of it."""


class SourceFile:
    """Looks up keys and tensors; raises GGUFError for those that a table needs and that are not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = read_offsets(path)
        self.header: GGUFHeader = self._offsets.header

    @property
    def is_readable(self) -> bool:
        """Whether the file is of a version and byte order that legacy layouts have."""
        return self._offsets.order == "<" and self.header.version > 1

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, in the order of the file's header."""
        return {tensor.name: tensor for tensor in self.header.tensors}

    def value_span(self, key: str) -> Span:
        """Return where the value of `key` lies, with the number of its type."""
        start, end = self._offsets.keys[key]
        start += _LENGTH.size + len(key.encode("utf-8", "replace"))
        return Span(start, end - start)

    def data_span(self, tensor: Tensor) -> Span:
        """Return where the data of `tensor` lie."""
        return Span(self._offsets.data + tensor.offset, tensor.size)

    def need(self, name: str) -> Tensor:
        """Return a tensor that has to be there."""
        tensor = self.tensors.get(name)
        if tensor is None or not tensor.shape:
            raise GGUFError(f'tensor "{name}" is missing')
        return tensor

    def need_integer(self, key: str) -> int:
        """Return a whole number, not negative, that has to be there."""
        value = self.header.integer(key)
        if value is None or value < 0:
            raise GGUFError(f'GGUF key "{key}" must be a whole number')
        return value

    def list_length(self, key: str) -> int:
        """Return the length of a list, 0 without one."""
        value = self.header.metadata.get(key)
        return value.length if isinstance(value, Array) else 0

    def list_span(self, key: str, length: int) -> tuple[int, Span]:
        """Return the type of a list's elements, and where its first `length` elements lie.

        Raises GGUFError when it is no list, or a shorter one.
        """
        value = self.header.metadata.get(key)
        if not isinstance(value, Array) or value.length < length:
            raise GGUFError(f'GGUF key "{key}" must be a list')
        start = self.value_span(key).offset
        with open_regular(self._path) as file:
            source = ByteSource(file.fileno())
            source.skip(start + _KIND.size)
            (kind,) = _KIND.unpack(source.take(_KIND.size))
            source.skip(_LENGTH.size)
            if kind == STRING:
                source.skip_strings(length, _LENGTH)
            else:
                source.skip(length * struct.calcsize("<" + SCALARS[kind]))
            return kind, Span(start + _HEAD, source.position - start - _HEAD)

    def strings(self, key: str, length: int) -> list[bytes]:
        """Return at most `length` first strings of a list; raises GGUFError for too many bytes."""
        length = _bounded(min(length, self.list_length(key)), key)
        kind, span = self.list_span(key, 0)
        if kind != STRING:
            raise GGUFError(f'GGUF key "{key}" must be a list of strings')
        with open_regular(self._path) as file:
            source = ByteSource(file.fileno())
            source.skip(span.offset)
            strings, n_bytes = [], 0
            for _ in range(length):
                strings.append(_string(source))
                n_bytes += len(strings[-1])
                if n_bytes > _MAX_BYTES:
                    raise GGUFError(f'GGUF key "{key}" is too large')
            return strings

    def numbers(self, key: str, length: int) -> tuple[int, list[float]]:
        """Return the type of a list's elements, and at most `length` first ones."""
        length = _bounded(min(length, self.list_length(key)), key)
        kind, span = self.list_span(key, length)
        if kind not in SCALARS:
            raise GGUFError(f'GGUF key "{key}" must be a list of numbers')
        with open_regular(self._path) as file:
            file.seek(span.offset)
            return kind, list(struct.unpack(f"<{length}{SCALARS[kind]}", file.read(span.size)))


def _bounded(length: int, key: str) -> int:
    if length > _MAX_ELEMENTS:
        raise GGUFError(f'GGUF key "{key}" is too long')
    return length


def _string(source: ByteSource) -> bytes:
    (size,) = _LENGTH.unpack(source.take(_LENGTH.size))
    if size > LONGEST_STRING:
        raise too_long(size)
    return source.take(size)
