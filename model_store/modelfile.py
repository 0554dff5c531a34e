"""Modelfiles: parse the text into commands, and print commands so that they parse the same."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from model_store.errors import ModelfileError

_INSTRUCTIONS = {
    "from": "model",
    "license": "license",
    "template": "template",
    "system": "system",
    "adapter": "adapter",
    "draft": "draft",
    "renderer": "renderer",
    "parser": "parser",
    "requires": "requires",
}
_UNKNOWN = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", '
    '"renderer", "parser", "parameter", "message", or "requires"'
)
_ROLES = ("system", "user", "assistant", "tool")
_BAD_ROLE = 'message role must be one of "system", "user", or "assistant"'
_NO_VALUE = "must be followed by a value"
_OPEN_QUOTES = "the value begins with quotes, and no line ends with them"
_BLANKS = " \t"
_WHITE = " \t\r\n"
_TEXTS = frozenset({"license", "template", "system", "message", "stop"})
"""Commands whose value is text; the others hold names and numbers."""
_OPEN = "\u2060"
"""WORD JOINER: behind three quotes at the end of a line, it says that they do not end the value."""
_QUOTES = {
    quote: re.compile(quote + r"[ \t]*(?=[\r\n]|\Z)")  # only the end of a line closes a quote
    for quote in ('"""', '"')
}
_CLOSING_LINE = re.compile(rf'("""[ \t]*{_OPEN}*)(?=[\r\n])')
_OPEN_LINE = re.compile(rf'("""[ \t]*{_OPEN}*){_OPEN}(?=[\r\n])')
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_LETTERS = re.compile(r"[A-Za-z]{0,64}")
_NAME = re.compile(r"[A-Za-z0-9_]{0,64}")
_LINE = re.compile(r"[^\r\n]*")
_VISIBLE_CATEGORIES = "LMNPS"
_LONGEST_NAME = 1 << 16
"""Characters of a value that is no text."""


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction; a parameter's name is its command, FROM is "model".

    `line` is where it begins, 0 where it was not read from a text.
    """

    name: str
    value: str
    line: int = field(default=0, compare=False)


def parse_modelfile(text: str, *, needs_from: bool = True) -> tuple[Command, ...]:
    """Return the commands of a Modelfile.

    Raises:
        ModelfileError: an instruction is unknown or incomplete, or FROM is missing. `line` is where
            the instruction begins.
    """
    commands = tuple(_Parser(text).commands())
    if needs_from and not any(command.name == "model" for command in commands):
        raise ModelfileError("no FROM line")
    return commands


class _Parser:
    """Walks over the text once; `_at` is the next character."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff")
        self._at = 0
        self._line_at, self._counted = 1, 0  # the line of a character, counted so far

    def commands(self) -> Iterator[Command]:
        while True:
            self._at = _matched(_BETWEEN, self._text, self._at).end()
            if self._at == len(self._text):
                return
            line = self._line()
            try:
                yield replace(self._command(), line=line)
            except ModelfileError as e:
                e.line = line
                raise

    def _command(self) -> Command:
        word = self._word()
        if word == "parameter":
            name = self._argument()
            value = self._value(name)
            return Command(name, value if name in _TEXTS else _visible(value))
        if word == "message":
            role = self._argument()
            if role not in _ROLES:
                raise self._error(_BAD_ROLE)
            return Command("message", f"{role}: {self._value(role)}")
        if word not in _INSTRUCTIONS:
            raise self._error(_UNKNOWN)
        value = self._value(None)
        return Command(_INSTRUCTIONS[word], value if word in _TEXTS else _visible(value))

    def _word(self) -> str:
        word, end = self._taken(_LETTERS)
        if end in "\r\n" and word.lower() in (*_INSTRUCTIONS, "parameter", "message"):
            raise self._error(f"{word} {_NO_VALUE}")
        if end not in _BLANKS:
            raise self._error(_UNKNOWN)
        return word.lower()

    def _argument(self) -> str:
        """Read a parameter's name or a role; a blank ends it."""
        argument, end = self._taken(_NAME)
        if end not in _BLANKS:
            raise ModelfileError(f"unexpected EOF: {argument} {_NO_VALUE}")
        return argument

    def _taken(self, pattern: re.Pattern[str]) -> tuple[str, str]:
        """Pass what `pattern` matches and the character behind it; return both."""
        match = _matched(pattern, self._text, self._at)
        self._at = match.end() + 1
        if self._at > len(self._text):
            raise ModelfileError(f"unexpected EOF: {match[0]} {_NO_VALUE}")
        return match[0], self._text[self._at - 1]

    def _value(self, owner: str | None) -> str:
        """Read up to the end of the line, or of the quotes that open there.

        `owner` is the parameter or role that must have a value, None when it may be empty.
        """
        start = self._at
        self._at = _matched(_LINE, self._text, start).end()
        first = self._text[start : self._at].strip()
        if not first and owner is not None:
            raise ModelfileError(f"unexpected EOF: {owner} {_NO_VALUE}")
        for quote, closing in _QUOTES.items():
            if first.startswith(quote):
                opening = self._text.index(quote, start)
                return self._quoted(opening + len(quote), closing)
        return first

    def _quoted(self, start: int, closing: re.Pattern[str]) -> str:
        match = closing.search(self._text, start)
        if match is None:
            raise ModelfileError(f"unexpected EOF: {_OPEN_QUOTES}")
        self._at = match.end()
        return _OPEN_LINE.sub(r"\1", self._text[start : match.start()])

    def _error(self, what: str) -> ModelfileError:
        return ModelfileError(f"(line {self._line()}): {what}")

    def _line(self) -> int:
        passed, self._counted = self._text[self._counted : self._at], self._at
        # Each of CR and LF ends a line, as in the reference.
        self._line_at += passed.count("\n") + passed.count("\r")
        return self._line_at


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    assert match is not None  # the patterns match the empty text too
    return match


def _visible(text: str) -> str:
    """Drop what the reference drops: all that is no letter, mark, number, sign or plain space.

    Such characters come in with text that is copied from web pages, and nobody sees them.
    """
    if len(text) > _LONGEST_NAME:
        raise ModelfileError(f"a name or number of {len(text)} characters is too long")
    odd = {c for c in set(text) if unicodedata.category(c)[0] not in _VISIBLE_CATEGORIES}
    return text.translate(dict.fromkeys(map(ord, odd - {*_WHITE}))).strip()


def print_modelfile(commands: Iterable[Command]) -> str:
    """Return the commands as a Modelfile, one a line."""
    return "".join(_printed(command) + "\n" for command in commands)


def _printed(command: Command) -> str:
    if command.name == "model":
        return f"FROM {_quoted(command.value)}"
    if command.name == "message":
        role, _, text = command.value.partition(": ")
        return f"MESSAGE {role} {_quoted(text)}"
    if command.name in _INSTRUCTIONS.values():
        return f"{command.name.upper()} {_quoted(command.value)}"
    return f"PARAMETER {command.name} {_quoted(command.value)}"


def _quoted(value: str) -> str:
    """Return `value` as it is written; the reference reads all but _OPEN in the same way."""
    is_plain = value == value.strip() and not value.startswith('"')
    if value and is_plain and "\n" not in value and "\r" not in value:
        return value
    if '"' not in value:
        return f'"{value}"'
    protected = _CLOSING_LINE.sub(rf"\1{_OPEN}", value)
    return f'"""{protected}"""'
