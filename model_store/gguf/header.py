"""GGUF header: metadata with typed look-ups, and the tensors' names, types and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from model_store.gguf.types import FILE_TYPES

_ENTRY_BYTES, _NUMBER_BYTES = 400, 40
"""About what CPython takes for a key with its value or a tensor, and for a number in an array."""

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Array:
    """An array in the metadata; `values` is None when it was too long to be read."""

    length: int
    values: tuple[Scalar, ...] | None


Value = Scalar | Array


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's name, type and position in the file.

    `shape` has the fastest dimension first, `size` is in bytes, and `offset` counts from the start
    of the tensor data.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int
    n_elements: int


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """The metadata and tensors of a GGUF file.

    Numbers in single precision stand in `metadata` as the shortest decimals that mean them. The
    look-ups give None (or nothing) when a key is absent or its value is of another kind; integers
    of every width are alike.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """The model's architecture, "unknown" when the file does not say."""
        return self.text("general.architecture") or "unknown"

    @property
    def parameter_count(self) -> int:
        """Number of elements of all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def n_bytes(self) -> int:
        """About how much memory the header takes."""
        arrays = (v.values or () for v in self.metadata.values() if isinstance(v, Array))
        texts = (v for v in self.metadata.values() if isinstance(v, str))
        return (
            _ENTRY_BYTES * (len(self.metadata) + len(self.tensors))
            + _NUMBER_BYTES * sum(map(len, arrays))
            + sum(map(len, texts))
        )

    @property
    def file_type(self) -> str:
        """Name of the quantisation, "unknown" when the file does not say."""
        return FILE_TYPES.get(self.integer("general.file_type") or 0, "unknown")

    @property
    def chat_template(self) -> str:
        """The Jinja template for conversations; empty when there is none."""
        return self.text("tokenizer.chat_template") or ""

    def has(self, key: str) -> bool:
        """Tell whether the metadata has `key`."""
        return key in self.metadata

    def text(self, key: str) -> str | None:
        """Return a text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """Return a whole number."""
        value = self.metadata.get(key)
        return value if _is_integer(value) else None

    def flag(self, key: str) -> bool | None:
        """Return a truth value."""
        value = self.metadata.get(key)
        return value if isinstance(value, bool) else None

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a whole number or a short array of them as a tuple."""
        value = self.metadata.get(key)
        values = (value.values or ()) if isinstance(value, Array) else (value,)
        return tuple(item for item in values if _is_integer(item))


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
