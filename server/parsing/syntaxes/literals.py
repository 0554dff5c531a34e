"""Read Python and JavaScript style literals that models write instead of JSON."""

import json
import re
from typing import Final

from server.parsing.json_decoding import InvalidJSON, normalise_json

_MAX_DEPTH: Final = 64
_CONSTANTS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nil": None,
}
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,300}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_IDENTIFIER: Final = re.compile(r"[\w$][\w$.\-]*")
_STRINGS: Final = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPE_VALUES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WHITESPACE: Final = re.compile(r"\s*")
_UNQUOTED: Final = re.compile(r"[^,{}\[\]]+")


class InvalidLiteral(ValueError):
    """The text at the current position is not a literal."""


class LiteralReader:
    """Reads literals from `text` at `position`; raises InvalidLiteral.

    Between two `quote` tokens a string has no escapes. With `allows_unquoted`, text without quotes
    is a string as well.
    """

    def __init__(self, text: str, *, quote: str = "", allows_unquoted: bool = False) -> None:
        self.text = text
        self.position = 0
        self._quote = quote
        self._allows_unquoted = allows_unquoted

    def whitespace(self) -> None:
        """Skip whitespace."""
        match = _WHITESPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def accept(self, delimiter: str) -> bool:
        """Skip whitespace, then `delimiter` if it follows; tell whether it did."""
        self.whitespace()
        if not self.text.startswith(delimiter, self.position):
            return False
        self.position += len(delimiter)
        return True

    def expect(self, delimiter: str) -> None:
        """Skip `delimiter`, which must follow."""
        if not self.accept(delimiter):
            raise InvalidLiteral(f"{delimiter} is missing")

    def identifier(self) -> str:
        """Read an identifier."""
        self.whitespace()
        match = _IDENTIFIER.match(self.text, self.position)
        if match is None:
            raise InvalidLiteral("not an identifier")
        self.position = match.end()
        return match[0]

    def value(self, depth: int = 0) -> object:
        """Read a value."""
        if depth > _MAX_DEPTH:
            raise InvalidLiteral("nested too deeply")
        self.whitespace()
        if self._at_string():
            return self._string()
        if self.accept("{"):
            return self.mapping("}", ":", depth + 1)
        if self.accept("["):
            return self.items("]", depth + 1)
        return self._scalar()

    def mapping(self, end: str, between: str, depth: int = 0) -> dict[str, object]:
        """Read key and value pairs up to `end`; keys are identifiers or strings."""
        result: dict[str, object] = {}
        while not self.accept(end):
            if result:
                self.expect(",")
                if self.accept(end):
                    break
            key = self._string() if self._at_string() else self.identifier()
            self.expect(between)
            if key in result:
                raise InvalidLiteral("a duplicate key")
            result[key] = self.value(depth)
        return result

    def items(self, end: str, depth: int = 0) -> list[object]:
        """Read values up to `end`."""
        result: list[object] = []
        while not self.accept(end):
            if result:
                self.expect(",")
                if self.accept(end):
                    break
            result.append(self.value(depth))
        return result

    def _at_string(self) -> bool:
        self.whitespace()
        delimiters = ('"', "'", self._quote) if self._quote else ('"', "'")
        return self.text.startswith(delimiters, self.position)

    def _string(self) -> str:
        if self._quote and self.accept(self._quote):
            start, end = self.position, self.text.find(self._quote, self.position)
            if end < 0:
                raise InvalidLiteral("an unclosed string")
            self.position = end + len(self._quote)
            return self.text[start:end]
        match = _STRINGS[self.text[self.position]].match(self.text, self.position)
        if match is None:
            raise InvalidLiteral("an unclosed string")
        self.position = match.end()
        return _unescape(match[0], match[1])

    def _scalar(self) -> object:
        if (match := _NUMBER.match(self.text, self.position)) is not None and self._ends(
            match.end()
        ):
            self.position = match.end()
            return _number(match[0])
        match = _IDENTIFIER.match(self.text, self.position)
        if match is not None and match[0].lower() in _CONSTANTS and self._ends(match.end()):
            self.position = match.end()
            return _CONSTANTS[match[0].lower()]
        match = _UNQUOTED.match(self.text, self.position)
        if not self._allows_unquoted or match is None:
            raise InvalidLiteral("not a value")
        self.position = match.end()
        return match[0].strip()

    def _ends(self, position: int) -> bool:
        match = _WHITESPACE.match(self.text, position)
        assert match is not None
        return match.end() == len(self.text) or self.text[match.end()] in ",)]}"


def _number(text: str) -> object:
    try:
        return normalise_json(int(text) if text.lstrip("+-").isdigit() else float(text))
    except InvalidJSON as e:
        raise InvalidLiteral(str(e)) from e


def _unescape(literal: str, text: str) -> str:
    """Return the value of a string; JSON rules first, for surrogate pairs."""
    if "\\" not in text:
        return text
    if literal.startswith('"'):
        try:
            return str(normalise_json(json.loads(literal, strict=False)))
        except InvalidJSON as e:
            raise InvalidLiteral(str(e)) from e
        except ValueError:
            pass  # an escape that JSON does not have
    return str(_validated(_ESCAPE.sub(_escape_value, text)))


def _escape_value(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPE_VALUES.get(code, code)


def _validated(text: str) -> object:
    try:
        return normalise_json(text)
    except InvalidJSON as e:
        raise InvalidLiteral(str(e)) from e
