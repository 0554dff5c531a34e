"""Typed access to JSON objects of a model folder, which are untrusted."""

import json
import math
import re
from collections.abc import Mapping

from model_store.errors import CreateError

LARGEST_INTEGER = 2**31 - 1
_MAX_SHOWN = 60
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Fields:
    """An object of the file `file`; null counts as absent.

    A look-up takes several names where a field has been renamed over time; the first that is
    there counts. Without a default, a field that is absent is an error.
    """

    def __init__(self, file: str, values: Mapping[str, object]) -> None:
        self.file, self._values = file, values

    def has(self, name: str) -> bool:
        """Tell whether the field is there."""
        return self._values.get(name) is not None

    def value(self, *names: str) -> object:
        """Return the value as it is, None when it is absent."""
        candidates = (self._values.get(name) for name in names)
        return next((value for value in candidates if value is not None), None)

    def integer(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number of at least `least`; raises CreateError."""
        value = self.value(*names)
        value = self._required(names[0], default) if value is None else value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(names[0], "a whole number")
        if not least <= value <= LARGEST_INTEGER:
            raise self.wrong(names[0], f"between {least} and {LARGEST_INTEGER}")
        return value

    def number(self, *names: str, default: float | None = None) -> float:
        """Return a finite number; raises CreateError."""
        value = self.value(*names)
        value = self._required(names[0], default) if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(names[0], "a number")
        if not -1e30 < value < 1e30 or not math.isfinite(value):
            raise self.wrong(names[0], "a finite number")
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of finite numbers, empty when it is absent; raises CreateError."""
        values = self.value(name)
        if values is None:
            return ()
        if not isinstance(values, list):
            raise self.wrong(name, "a list of numbers")
        entries = (Fields(self.file, {name: value}) for value in values)
        return tuple(entry.number(name) for entry in entries)

    def text(self, *names: str, default: str = "") -> str:
        """Return a text, `default` when it is absent; raises CreateError."""
        value = self.value(*names)
        if not isinstance(value, str | None):
            raise self.wrong(names[0], "a string")
        return default if value is None else value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth value, `default` when it is absent; raises CreateError."""
        value = self.value(name)
        if not isinstance(value, bool | None):
            raise self.wrong(name, "true or false")
        return default if value is None else value

    def inner(self, *names: str) -> "Fields":
        """Return an object, an empty one when it is absent; raises CreateError."""
        value = self.value(*names)
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(names[0], "an object")
        return Fields(self.file, value or {})

    def objects(self, name: str) -> "list[Fields]":
        """Return a list of objects, empty when it is absent; raises CreateError."""
        values = self.value(name) or []
        if not isinstance(values, list) or not all(isinstance(v, Mapping) for v in values):
            raise self.wrong(name, "a list of objects")
        return [Fields(self.file, value) for value in values]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all fields."""
        return tuple(self._values)

    def items(self) -> list[tuple[str, object]]:
        """Return all fields and their values."""
        return list(self._values.items())

    def wrong(self, name: str, expected: str) -> CreateError:
        """Return the error for a field that is not what it must be."""
        return CreateError(f'{self.file}: "{name[:_MAX_SHOWN]}" must be {expected}')

    def _required(self, name: str, default: float | None) -> float:
        if default is None:
            raise CreateError(f'{self.file} lacks "{name[:_MAX_SHOWN]}"')
        return default


def parse_fields(file: str, data: bytes) -> Fields:
    """Read the JSON object in `data`; raises CreateError.

    NaN and infinities, which some programs write, count as 0 as they do in the reference.
    """
    try:
        text = data.decode("utf-8-sig")
        values = json.loads(text, parse_constant=lambda _: 0)
        if _SURROGATE.search(text):
            # Halves of characters can be written as escapes, but neither stored nor sent.
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        raise CreateError(f"{file} is not valid JSON") from e
    if not isinstance(values, Mapping):
        raise CreateError(f"{file} is not a JSON object")
    return Fields(file, values)
