"""Go values for templates, besides Python's strings, numbers, lists and mappings.

A mapping is a Go map, a list or tuple a slice, `None` nil. This module decides the kind and truth
of values; `printing` prints them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()


MISSING: Final = Missing()
"""The value of a missing key. Unlike nil, it has (missing) fields itself."""


class JSONMap(dict[str, object]):
    """A map that prints as JSON."""


class JSONList(list[object]):
    """A list that prints as JSON."""


class TypeList(list[object]):
    """The types of a schema; a single one is printed without brackets.

    The first type of a schema without types is "any".
    """


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct; access to an unknown field is an error.

    `json` has the fields of its JSON in order. `methods` are called when accessed like a field.
    """

    type_name: str
    fields: Mapping[str, object]
    json: Mapping[str, object]
    prints_json: bool = False
    methods: Mapping[str, Callable[[], object]] = field(default_factory=dict)


def is_true(value: object) -> bool:
    """Return the truth of `value`: false when it is empty, zero, nil or missing."""
    if isinstance(value, Struct):
        return True
    return not isinstance(value, Missing) and bool(value)


def is_integer(value: object) -> bool:
    """Tell whether `value` is a Go integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def type_name(value: object) -> str:
    """Return the name of the value's Go type."""
    if isinstance(value, Struct):
        return value.type_name
    for kind, name in _TYPE_NAMES:
        if isinstance(value, kind):
            return name
    return "nil"


_TYPE_NAMES: Final = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (bytes, "[]uint8"),
    (Mapping, "map[string]interface {}"),
    (list | tuple, "[]interface {}"),
)


def from_json(value: object) -> object:
    """Return decoded JSON as Go represents it: every number is a float.

    Integers that a float cannot represent stay integers, so that no digit of an id is lost.
    """
    if is_integer(value):
        assert isinstance(value, int)
        return float(value) if abs(value) <= _LARGEST_EXACT else value
    if isinstance(value, Mapping):
        return {str(key): from_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [from_json(item) for item in value]
    return value


_LARGEST_EXACT: Final = 2**53
