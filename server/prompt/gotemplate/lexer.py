"""Lexer of Go templates: text and the tokens of actions."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """Kinds of tokens. ERROR ends a template; its text is the error message."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    STRING = auto()
    RAW_STRING = auto()
    CHARACTER = auto()
    NUMBER = auto()
    BOOL = auto()
    KEYWORD = auto()
    IDENTIFIER = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    PIPE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    MARK = auto()
    ERROR = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the source; `start` is its index there."""

    kind: Kind
    text: str
    start: int


_BLANKS: Final = " \t\r\n"
_KEYWORDS: Final = frozenset(
    "block break continue define else end if nil range template with".split()
)
_TOKEN: Final = re.compile(
    r"""(?P<SPACE>[ \t\r\n]+)
    |(?P<STRING>"(?:[^"\\\n]|\\[^\n])*")
    |(?P<RAW_STRING>`[^`]*`)
    |(?P<CHARACTER>'(?:[^'\\\n]|\\[^\n])*')
    |(?P<NUMBER>[+-]?(?:0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*
        |[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?|\.[0-9][0-9_]*(?:[eE][+-]?[0-9_]+)?))
    |(?P<VARIABLE>\$\w*)
    |(?P<FIELD>\.\w+)
    |(?P<DOT>\.)
    |(?P<IDENTIFIER>\w+)
    |(?P<DECLARE>:=)
    |(?P<ASSIGN>=)
    |(?P<PIPE>\|)
    |(?P<LEFT_PAREN>\()
    |(?P<RIGHT_PAREN>\))
    |(?P<MARK>[!-~])""",
    re.VERBOSE,
)
_UNTERMINATED: Final = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
    ":": "expected :=",
}
_NAMES: Final = (Kind.VARIABLE, Kind.FIELD, Kind.DOT, Kind.IDENTIFIER)
_AFTER_NAME: Final = frozenset(" \t\r\n.,|:()")


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of a template; the last one is END or ERROR."""
    at = 0
    while (start := source.find("{{", at)) >= 0:
        trims = source.startswith("-", start + 2) and source[start + 3 : start + 4] in _MARKED
        text = source[at:start].rstrip(_BLANKS) if trims else source[at:start]
        if text:
            yield Token(Kind.TEXT, text, at)
        inside = start + (4 if trims else 2)
        if source.startswith("/*", inside):
            last = _comment(source, inside)
        else:
            yield Token(Kind.LEFT, "{{", start)
            last = yield from _action(source, inside)
        if last.kind is Kind.ERROR:
            yield last
            return
        at = last.start + len(last.text)
    if at < len(source):
        yield Token(Kind.TEXT, source[at:], at)
    yield Token(Kind.END, "", len(source))


_MARKED: Final = tuple(_BLANKS)


def _comment(source: str, start: int) -> Token:
    end = source.find("*/", start)
    if end < 0:
        return Token(Kind.ERROR, "unclosed comment", start)
    closing = _closing(source, end + 2)
    return closing or Token(Kind.ERROR, "comment ends before closing delimiter", start)


def _closing(source: str, at: int) -> Token | None:
    """Return the end of an action at `at`, if there is one, with the whitespace it trims."""
    if source.startswith("}}", at):
        return Token(Kind.RIGHT, "}}", at)
    if source[at : at + 1] in _MARKED and source.startswith("-}}", at + 1):
        end = at + 4
        while end < len(source) and source[end] in _BLANKS:
            end += 1
        return Token(Kind.RIGHT, source[at:end], at)
    return None


def _action(source: str, at: int) -> Generator[Token, None, Token]:
    """Yield the tokens up to the end of an action; return its RIGHT, or an ERROR."""
    depth = 0
    while True:
        if closing := _closing(source, at):
            if depth:
                return Token(Kind.ERROR, "unclosed left paren", at)
            yield closing
            return closing
        token = _token(source, at)
        depth += (token.kind is Kind.LEFT_PAREN) - (token.kind is Kind.RIGHT_PAREN)
        if depth < 0:
            return Token(Kind.ERROR, "unexpected right paren", at)
        if token.kind is Kind.ERROR:
            return token
        yield token
        at += len(token.text)


def _token(source: str, at: int) -> Token:
    match = _TOKEN.match(source, at)
    if at >= len(source):
        return Token(Kind.ERROR, "unclosed action", at)
    if match is None or (source[at] in _UNTERMINATED and match.lastgroup == "MARK"):
        problem = _UNTERMINATED.get(source[at])
        problem = problem or f"unrecognized character in action: {_code_point(source[at])}"
        return Token(Kind.ERROR, problem, at)
    kind, text, after = Kind[match.lastgroup or ""], match[0], source[match.end() : match.end() + 1]
    if kind is Kind.SPACE:
        return Token(kind, _without_trim_mark(source, at, text), at)
    if kind is Kind.MARK and text in "+-":
        kind = Kind.NUMBER
    if kind is Kind.NUMBER and (after == "_" or after.isalnum()):
        return Token(Kind.ERROR, f'bad number syntax: "{text}{after}"', at)
    if kind in _NAMES and after and after not in _AFTER_NAME and not _closing(source, match.end()):
        return Token(Kind.ERROR, f"bad character {_code_point(after)}", at)
    if kind is Kind.IDENTIFIER:
        kind = Kind.KEYWORD if text in _KEYWORDS else kind
        kind = Kind.BOOL if text in ("true", "false") else kind
    return Token(kind, text, at)


def _without_trim_mark(source: str, at: int, blanks: str) -> str:
    """Leave the last space to the trim marker that follows, if there are more spaces."""
    return blanks[:-1] if len(blanks) > 1 and source.startswith("-}}", at + len(blanks)) else blanks


def _code_point(character: str) -> str:
    character_text = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{character_text}"
