"""Values as models write them that know more of Python or JavaScript than of JSON."""

import json
import re
from typing import Final

from server.parsing.jsontext import NotJSON, sound

_DEEPEST: Final = 64
_WORDS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nil": None,
}
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,300}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_WORD: Final = re.compile(r"[\w$][\w$.\-]*")
_STRINGS: Final = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BLANKS: Final = re.compile(r"\s*")
_BARE: Final = re.compile(r"[^,{}\[\]]+")


class NoLiteral(ValueError):
    """What stands here is no value."""


class Reader:
    """Reads values from `text`, from the place `at` on; raises NoLiteral.

    Between two `quote` marks a string stands as it is. With `bare`, a text without quotes is a
    string as well.
    """

    def __init__(self, text: str, *, quote: str = "", bare: bool = False) -> None:
        self.text = text
        self.at = 0
        self._quote = quote
        self._bare = bare

    def blanks(self) -> None:
        """Skip blanks."""
        match = _BLANKS.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def takes(self, mark: str) -> bool:
        """Skip blanks, and `mark` if it stands here; tell whether it did."""
        self.blanks()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        """Skip `mark`, which must stand here."""
        if not self.takes(mark):
            raise NoLiteral(f"no {mark}")

    def word(self) -> str:
        """Return the name that stands here."""
        self.blanks()
        match = _WORD.match(self.text, self.at)
        if match is None:
            raise NoLiteral("no name")
        self.at = match.end()
        return match[0]

    def value(self, depth: int = 0) -> object:
        """Return the value that stands here."""
        if depth > _DEEPEST:
            raise NoLiteral("nested too deeply")
        self.blanks()
        if self._quoted():
            return self._string()
        if self.takes("{"):
            return self.mapping("}", ":", depth + 1)
        if self.takes("["):
            return self.items("]", depth + 1)
        return self._scalar()

    def mapping(self, end: str, between: str, depth: int = 0) -> dict[str, object]:
        """Return the pairs up to `end`; keys are names or strings."""
        found: dict[str, object] = {}
        while not self.takes(end):
            if found:
                self.expect(",")
                if self.takes(end):
                    break
            key = self._string() if self._quoted() else self.word()
            self.expect(between)
            if key in found:
                raise NoLiteral("a key twice")
            found[key] = self.value(depth)
        return found

    def items(self, end: str, depth: int = 0) -> list[object]:
        """Return the values up to `end`."""
        found: list[object] = []
        while not self.takes(end):
            if found:
                self.expect(",")
                if self.takes(end):
                    break
            found.append(self.value(depth))
        return found

    def _quoted(self) -> bool:
        self.blanks()
        marks = ('"', "'", self._quote) if self._quote else ('"', "'")
        return self.text.startswith(marks, self.at)

    def _string(self) -> str:
        if self._quote and self.takes(self._quote):
            start, end = self.at, self.text.find(self._quote, self.at)
            if end < 0:
                raise NoLiteral("an open string")
            self.at = end + len(self._quote)
            return self.text[start:end]
        match = _STRINGS[self.text[self.at]].match(self.text, self.at)
        if match is None:
            raise NoLiteral("an open string")
        self.at = match.end()
        return _unescaped(match[0], match[1])

    def _scalar(self) -> object:
        if (match := _NUMBER.match(self.text, self.at)) is not None and self._ends(match.end()):
            self.at = match.end()
            return _number(match[0])
        match = _WORD.match(self.text, self.at)
        if match is not None and match[0].lower() in _WORDS and self._ends(match.end()):
            self.at = match.end()
            return _WORDS[match[0].lower()]
        match = _BARE.match(self.text, self.at)
        if not self._bare or match is None:
            raise NoLiteral("no value")
        self.at = match.end()
        return match[0].strip()

    def _ends(self, at: int) -> bool:
        match = _BLANKS.match(self.text, at)
        assert match is not None
        return match.end() == len(self.text) or self.text[match.end()] in ",)]}"


def _number(text: str) -> object:
    try:
        return sound(int(text) if text.lstrip("+-").isdigit() else float(text))
    except NotJSON as e:
        raise NoLiteral(str(e)) from e


def _unescaped(quoted: str, text: str) -> str:
    """Return what a string means; JSON's own rules go first, for pairs of escapes."""
    if "\\" not in text:
        return text
    if quoted.startswith('"'):
        try:
            return str(sound(json.loads(quoted, strict=False)))
        except NotJSON as e:
            raise NoLiteral(str(e)) from e
        except ValueError:
            pass  # an escape that only Python knows
    return str(_checked(_ESCAPE.sub(_escaped, text)))


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, code)


def _checked(text: str) -> object:
    try:
        return sound(text)
    except NotJSON as e:
        raise NoLiteral(str(e)) from e
