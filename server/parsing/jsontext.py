"""JSON as models write it: read with suspicion, and followed while it streams."""

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

_DEEPEST: Final = 64
"""More levels than any tool takes, and few enough for every encoder that follows."""
_WIDEST_INTEGER: Final = 64
"""In bits; the encoders that follow know no wider ones."""
_NOTABLE: Final = re.compile(r'["\\{}\[\]\n]')


class NotJSON(ValueError):
    """The text is no JSON that can be handed on."""


def decode(text: str) -> object:
    """Return the value of a JSON text; raises NotJSON.

    Line breaks inside strings are tolerated. What could not be handed on whole is refused: endless
    and undefined numbers, halves of characters, many levels, an object with a key twice.
    """
    try:
        value = json.loads(
            text, strict=False, parse_constant=_refuse, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError) as e:
        raise NotJSON(str(e)) from e
    return sound(value)


def decode_object(text: str) -> Mapping[str, object]:
    """Return the object that a JSON text holds; raises NotJSON for any other value."""
    value = decode(text)
    if not isinstance(value, dict):
        raise NotJSON("no object")
    return value


def sound(value: object, depth: int = 0) -> object:
    """Return a value that can be written as JSON, wide integers as floats; raises NotJSON."""
    if depth > _DEEPEST:
        raise NotJSON("nested too deeply")
    if isinstance(value, dict):
        return {_text(key): sound(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [sound(item, depth + 1) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and value.bit_length() >= _WIDEST_INTEGER:
        return _float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise NotJSON("no finite number")
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError as e:
        raise NotJSON("no finite number") from e


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise NotJSON("half of a character") from e
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotJSON("a key twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise NotJSON(f"{name} is no JSON")


class Brackets:
    """Follows one JSON value that begins with a bracket, to tell where it ends.

    Brackets inside strings do not count; those of both kinds close each other, because telling
    whether the value is valid is not its task.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._escaped = False
        self.in_string = False
        """Whether the text so far ends inside a string."""
        self.in_broken_string = False
        """Whether that string already has a line break, which no valid one has."""

    def end(self, text: str, start: int, stop: int) -> int | None:
        """Take `text` from `start` to `stop`; return the place behind the value when it ends."""
        at = start
        if self._escaped and at < stop:
            at += 1
            self._escaped = False
        while (match := _NOTABLE.search(text, at, stop)) is not None:
            at = match.end()
            if self.in_string:
                at = self._inside(match[0], at, stop)
            elif match[0] == '"':
                self.in_string, self.in_broken_string = True, False
            elif match[0] in "{[":
                self._depth += 1
            elif match[0] in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return at
        return None

    def _inside(self, char: str, at: int, stop: int) -> int:
        """Take one notable character of a string; return where to go on."""
        if char == '"':
            self.in_string = self.in_broken_string = False
        elif char == "\n":
            self.in_broken_string = True
        elif char == "\\":
            self._escaped = at >= stop
            return at if self._escaped else at + 1
        return at


def ends_in_string(text: str) -> bool:
    """Tell whether a text is the beginning of a JSON value that breaks off inside a string.

    A string with a line break in it does not count: it is broken already.
    """
    brackets = Brackets()
    return brackets.end(text, 0, len(text)) is None and (
        brackets.in_string and not brackets.in_broken_string
    )
