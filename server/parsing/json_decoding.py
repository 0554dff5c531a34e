"""Decode JSON that a model wrote, and find where a JSON value ends in streamed text."""

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

_MAX_DEPTH: Final = 64
"""Deeper than the arguments of any tool, and within the limits of the JSON encoders."""
_MAX_INTEGER_BITS: Final = 64
"""The JSON encoders accept no wider integers."""
_STRUCTURAL: Final = re.compile(r'["\\{}\[\]\n]')


class InvalidJSON(ValueError):
    """The text is not valid JSON, or a value that cannot be encoded again."""


def decode(text: str) -> object:
    """Return the value of a JSON text; raises InvalidJSON.

    Line breaks inside strings are accepted. Rejected are values that cannot be encoded again
    unchanged: infinite numbers, NaN, lone surrogates, deep nesting and duplicate keys.
    """
    try:
        value = json.loads(
            text,
            strict=False,
            parse_constant=_reject_constant,
            object_pairs_hook=_reject_duplicate_keys,
        )
    except (ValueError, RecursionError) as e:
        raise InvalidJSON(str(e)) from e
    return normalise_json(value)


def decode_json_object(text: str) -> Mapping[str, object]:
    """Return the object that a JSON text holds; raises InvalidJSON for any other value."""
    value = decode(text)
    if not isinstance(value, dict):
        raise InvalidJSON("not an object")
    return value


def normalise_json(value: object, depth: int = 0) -> object:
    """Return a value that can be encoded as JSON, wide integers as floats; raises InvalidJSON."""
    if depth > _MAX_DEPTH:
        raise InvalidJSON("nested too deeply")
    if isinstance(value, dict):
        return {_text(key): normalise_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [normalise_json(item, depth + 1) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and value.bit_length() >= _MAX_INTEGER_BITS:
        return _float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidJSON("not a finite number")
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError as e:
        raise InvalidJSON("not a finite number") from e


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise InvalidJSON("a lone surrogate") from e
    return value


def _reject_duplicate_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise InvalidJSON("a duplicate key")
    return result


def _reject_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"{name} is not JSON")


class JSONEndFinder:
    """Finds the end of a JSON object or array in streamed text.

    Brackets inside strings do not count. The two kinds of brackets are not told apart: whether the
    value is valid is checked when it is decoded.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._escaped = False
        self.in_string = False
        """Whether the text so far ends inside a string."""
        self.in_broken_string = False
        """Whether that string contains a line break, which is invalid."""

    def end(self, text: str, start: int, stop: int) -> int | None:
        """Consume `text` from `start` to `stop`; return the position after the value if it ends."""
        position = start
        if self._escaped and position < stop:
            position += 1
            self._escaped = False
        while (match := _STRUCTURAL.search(text, position, stop)) is not None:
            position = match.end()
            if self.in_string:
                position = self._in_string_character(match[0], position, stop)
            elif match[0] == '"':
                self.in_string, self.in_broken_string = True, False
            elif match[0] in "{[":
                self._depth += 1
            elif match[0] in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return position
        return None

    def _in_string_character(self, char: str, position: int, stop: int) -> int:
        """Consume a structural character inside a string; return the next position."""
        if char == '"':
            self.in_string = self.in_broken_string = False
        elif char == "\n":
            self.in_broken_string = True
        elif char == "\\":
            self._escaped = position >= stop
            return position if self._escaped else position + 1
        return position


def ends_in_string(text: str) -> bool:
    """Tell whether a text is the beginning of a JSON value that ends inside a string.

    A string with a line break does not count: it is invalid already.
    """
    brackets = JSONEndFinder()
    return brackets.end(text, 0, len(text)) is None and (
        brackets.in_string and not brackets.in_broken_string
    )
