"""Convert a Lark grammar without recursion to one regular expression.

The input of a freeform tool is a string in JSON, or a text between tags: there a tool call syntax
has room for a regular expression, but not for rules. Rules that are recursive only at their
beginning or only at their end are repetitions and are converted too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_MAX_BYTES: Final = 64 * 1024
_MAX_DEPTH: Final = 100
_START: Final = "start"
_TOKEN: Final = re.compile(
    r"""
    (?P<modifier>^[ \t]*[?!]+(?=_?[a-z]))
  | (?P<blank>\s|//[^\n]*|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*"i?)
  | (?P<regex>/(?:\\.|[^/\\\n])+/[imslux]*)
  | (?P<name>_?[A-Za-z][A-Za-z0-9_]*)
  | (?P<number>[0-9]{1,4})
  | (?P<directive>%[a-z]+)
  | (?P<operator>->|\.\.|[|()\[\]{}*+?~:,.])
    """,
    re.VERBOSE | re.MULTILINE,
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "b": "\b", "0": "\0"}
_DIGITS: Final = "[0-9]+"
_DECIMAL: Final = rf"(?:{_DIGITS}\.[0-9]*|\.{_DIGITS})"
_FLOAT: Final = rf"(?:{_DIGITS}[eE][+-]?{_DIGITS}|{_DECIMAL}(?:[eE][+-]?{_DIGITS})?)"
_NUMBER: Final = rf"(?:{_FLOAT}|{_DIGITS})"
_COMMON: Final[Mapping[str, str]] = {
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[a-fA-F0-9]",
    "INT": _DIGITS,
    "SIGNED_INT": f"[+-]?{_DIGITS}",
    "DECIMAL": _DECIMAL,
    "FLOAT": _FLOAT,
    "SIGNED_FLOAT": f"[+-]?{_FLOAT}",
    "NUMBER": _NUMBER,
    "SIGNED_NUMBER": f"[+-]?{_NUMBER}",
    "ESCAPED_STRING": r'"(?:[^"\\\n]|\\.)*"',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[a-zA-Z]",
    "WORD": "[a-zA-Z]+",
    "CNAME": "[_a-zA-Z][_a-zA-Z0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
    "SH_COMMENT": r"#[^\n]*",
    "CPP_COMMENT": r"//[^\n]*",
    "SQL_COMMENT": r"--[^\n]*",
}
"""The terminals of Lark's library that grammars import."""


class LarkError(ValueError):
    """The grammar cannot be converted; the message is a clause that says why."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: str


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Node"
    operator: str


_Node = _Pattern | _Name | _Sequence | _Choice | _Repeat


def regex_of(grammar: str) -> str:
    """Return a regular expression for the language of `grammar`; raises LarkError."""
    if len(grammar) > _MAX_BYTES:
        raise LarkError(f"it is larger than {_MAX_BYTES // 1024} KiB")
    parser = _Parser(list(_tokens(grammar)))
    rules, ignored = parser.grammar()
    return _Expansion(rules, ignored).start()


def _tokens(grammar: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(grammar):
        match = _TOKEN.match(grammar, position)
        if match is None:
            line = grammar.count("\n", 0, position) + 1
            raise LarkError(f"line {line} is not in Lark's syntax, or uses an extension of it")
        position = match.end()
        if match.lastgroup not in ("blank", "modifier"):
            yield str(match.lastgroup), match[0]


class _Parser:
    """Parses tokens to rules; terminals are rules whose names are in capitals."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("end", ""), ("end", "")]
        self._at = 0
        self._depth = 0

    def grammar(self) -> tuple[dict[str, _Node], list[_Node]]:
        """Return the rules, and what may stand between terminals."""
        rules: dict[str, _Node] = {}
        ignored: list[_Node] = []
        while self._kind() != "end":
            if self._kind() == "directive":
                match self._next():
                    case "%import":
                        rules |= self._imports()
                    case "%ignore":
                        ignored.append(self._alternatives())
                    case other:
                        raise LarkError(f"{other[:20]} is not supported")
                continue
            name = self._take("name")
            if self._accept("."):
                self._take("number")
            if not self._accept(":"):
                raise LarkError(f'a ":" is missing behind "{name[:40]}"')
            if name in rules:
                raise LarkError(f'"{name[:40]}" is defined twice')
            rules[name] = self._alternatives()
        return rules, ignored

    def _imports(self) -> dict[str, _Node]:
        path = [self._take("name")]
        while self._accept("."):
            path.append(self._take("name"))
        library, names = path[0], path[1:]
        if self._accept("("):
            names = [self._take("name")]
            while self._accept(","):
                names.append(self._take("name"))
            self._expect(")")
        if library != "common" or not all(name in _COMMON for name in names):
            raise LarkError(f'"{".".join(path)[:40]}" cannot be imported')
        if self._accept("->"):
            return {self._take("name"): _Pattern(_COMMON[names[0]])}
        return {name: _Pattern(_COMMON[name]) for name in names}

    def _alternatives(self) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise LarkError("it is nested too deeply")
        self._accept("|")
        options = [self._sequence()]
        while self._accept("|"):
            options.append(self._sequence())
        self._depth -= 1
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Node:
        parts = []
        while not self._is_statement_end():
            parts.append(self._repeated(self._atom()))
        if self._accept("->"):
            self._take("name")
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _is_statement_end(self) -> bool:
        kind, text = self._tokens[self._at]
        if kind == "name":
            return self._tokens[self._at + 1][1] in (":", ".")
        return kind in ("end", "directive") or text in ("|", ")", "]", "->")

    def _atom(self) -> _Node:
        kind, text = self._kind(), self._next()
        if kind == "name":
            return _Name(text)
        if kind == "string":
            if self._accept(".."):
                return _Pattern(f"[{_literal(text)}-{_literal(self._take('string'))}]")
            return _Pattern(_literal(text))
        if kind == "regex":
            return _Pattern(_flagged(text))
        if text == "(":
            inner = self._alternatives()
            self._expect(")")
            return inner
        if text == "[":
            inner = self._alternatives()
            self._expect("]")
            return _Repeat(inner, "?")
        raise LarkError(f'"{text[:20]}" is misplaced')

    def _repeated(self, atom: _Node) -> _Node:
        while (text := self._tokens[self._at][1]) in ("?", "*", "+", "~", "{"):
            self._at += 1
            if text in ("?", "*", "+"):
                atom = _Repeat(atom, text)
                continue
            least = most = self._take("number") if self._kind() == "number" else "0"
            if self._accept(".." if text == "~" else ","):
                most = self._take("number") if self._kind() == "number" else ""
            if text == "{":
                self._expect("}")
            atom = _Repeat(atom, f"{{{least},{most}}}")
        return atom

    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _accept(self, operator: str) -> bool:
        if self._tokens[self._at] != ("operator", operator):
            return False
        self._at += 1
        return True

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise LarkError(f'a "{operator}" is missing')

    def _take(self, kind: str) -> str:
        if self._kind() != kind:
            raise LarkError(f"a {kind} is missing")
        return self._next()


class _Expansion:
    """Replaces names by what they stand for."""

    def __init__(self, rules: Mapping[str, _Node], ignored: list[_Node]) -> None:
        self._rules = rules
        self._known: dict[str, str] = {}
        self._open: list[str] = []
        self._blank = ""
        if ignored:
            self._blank = self._regex(_Repeat(_Choice(tuple(ignored)), "*"), is_terminal=True)

    def start(self) -> str:
        """Return the expression of the start rule."""
        if _START not in self._rules:
            raise LarkError('there is no rule "start"')
        return self._blank + self._named(_START)

    def _named(self, name: str) -> str:
        if name in self._known:
            return self._known[name]
        if name not in self._rules:
            raise LarkError(f'there is no rule "{name[:40]}"')
        if name in self._open:
            raise LarkError(
                f'rule "{name[:40]}" is recursive, which a tool call cannot enforce; use repetition'
            )
        if len(self._open) >= _MAX_DEPTH:
            raise LarkError("it is nested too deeply")
        self._open.append(name)
        is_terminal = name.lstrip("_")[0].isupper()
        regex = self._regex(_without_recursion(name, self._rules[name]), is_terminal=is_terminal)
        self._open.pop()
        self._known[name] = f"(?:{regex})"
        return self._known[name]

    def _regex(self, node: _Node, *, is_terminal: bool) -> str:
        blank = "" if is_terminal else self._blank
        match node:
            case _Pattern(regex):
                return f"(?:{regex}){blank}"
            case _Name(name):
                is_leaf = name.lstrip("_")[0].isupper()
                return self._named(name) + (blank if is_leaf else "")
            case _Sequence(parts):
                return _joined("", (self._regex(p, is_terminal=is_terminal) for p in parts))
            case _Choice(options):
                each = (self._regex(option, is_terminal=is_terminal) for option in options)
                return f"(?:{_joined('|', each)})"
            case _Repeat(part, operator):
                return f"(?:{self._regex(part, is_terminal=is_terminal)}){operator}"


def _without_recursion(name: str, node: _Node) -> _Node:
    """Return `node` with its recursion at one end as a repetition: `a: b | a c` is `b c*`."""
    itself = _Name(name)
    options = node.options if isinstance(node, _Choice) else (node,)
    sequences = [o.parts if isinstance(o, _Sequence) else (o,) for o in options]
    for end in (0, -1):
        again = [parts for parts in sequences if len(parts) > 1 and parts[end] == itself]
        if not again:
            continue
        first = _Choice(tuple(_Sequence(parts) for parts in sequences if parts not in again))
        rest = tuple(_Sequence(parts[1:] if end == 0 else parts[:-1]) for parts in again)
        repeated = _Repeat(_Choice(rest), "*")
        return _Sequence((first, repeated) if end == 0 else (repeated, first))
    return node


def _joined(separator: str, regexes: Iterable[str]) -> str:
    """Return the joined expressions; names that stand for names may grow without bound."""
    parts: list[str] = []
    size = 0
    for regex in regexes:
        parts.append(regex)
        size += len(regex)
        if size > _MAX_BYTES:
            raise LarkError("it is too large when its rules are written out")
    return separator.join(parts)


def _literal(text: str) -> str:
    """Return the expression for a string of the grammar, with its quotes."""
    ignores_case = text.endswith("i")
    escaped = "".join(map(_escaped, _ESCAPE.sub(_unescaped, text.removesuffix("i")[1:-1])))
    return f"(?i:{escaped})" if ignores_case else escaped


def _unescaped(match: re.Match[str]) -> str:
    octet, code, character = match.groups()
    if octet or code:
        return chr(int(octet or code, 16))
    return _CONTROLS.get(character, character)


def _escaped(character: str) -> str:
    is_plain = character.isascii() and (character.isalnum() or character in " _")
    return character if is_plain else rf"\x{{{ord(character):x}}}"


def _flagged(text: str) -> str:
    """Return the expression between slashes, with its flags."""
    body, _, flags = text[1:].rpartition("/")
    flags = "".join(flag for flag in "imsx" if flag in flags)
    body = body.replace(r"\/", "/")
    return f"(?{flags}:{body})" if flags else body
