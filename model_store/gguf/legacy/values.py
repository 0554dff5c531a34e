"""Typed metadata values of GGUF, as a family's table writes them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from model_store.errors import GGUFError
from model_store.gguf.header import Array, Value
from model_store.gguf.types import ARRAY, SCALARS, STRING

U8, U32, I32, F32, BOOL = 0, 4, 5, 6, 7
_KIND, _COUNT = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value as the header shows it, and its bytes in a file, behind the number of its type."""

    shown: Value
    data: bytes


def text(value: str) -> Setting:
    """Return a string."""
    return Setting(value, _KIND.pack(STRING) + string(value))


def u32(value: int) -> Setting:
    """Return an unsigned integer of 32 bits; raises GGUFError for any other number."""
    return _scalar(U32, value)


def f32(value: float) -> Setting:
    """Return a number in single precision."""
    return _scalar(F32, value)


def flag(*, value: bool) -> Setting:
    """Return a truth value."""
    return _scalar(BOOL, value)


def array(kind: int, values: Sequence[float]) -> Setting:
    """Return a list of numbers of one kind; raises GGUFError when one is too large for it."""
    data = _packed(f"<{len(values)}{SCALARS[kind]}", *values)
    return Setting(Array(len(values), tuple(values)), array_head(kind, len(values)) + data)


def array_head(kind: int, length: int) -> bytes:
    """Return the bytes in front of the elements of a list."""
    return _KIND.pack(ARRAY) + _KIND.pack(kind) + _COUNT.pack(length)


def string(value: str) -> bytes:
    """Return a string behind its length."""
    data = value.encode("utf-8", "surrogatepass")
    return _COUNT.pack(len(data)) + data


def _scalar(kind: int, value: float) -> Setting:
    return Setting(value, _KIND.pack(kind) + _packed("<" + SCALARS[kind], value))


def _packed(form: str, *numbers: float) -> bytes:
    try:
        return struct.pack(form, *numbers)
    except (struct.error, OverflowError):
        raise GGUFError("a number in the metadata is out of range") from None
