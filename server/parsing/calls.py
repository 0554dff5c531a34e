"""Calls behind a tag, for models whose template tells no more than the tag."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.jsontext import Brackets, NotJSON, decode_object
from server.parsing.marks import MarkFinder
from server.parsing.parser import NOTHING, Call, Parsed
from server.parsing.syntaxes.json_calls import ARGUMENTS, arguments_of
from server.parsing.writing import (
    NO_CALL,
    Block,
    answer_without_call,
    arguments,
    choice,
    json_call,
    quoted,
    sequence,
)
from server.prompt.messages import Tool

_MOST_NESTED: Final = 16
_NO_WORDS: Final = re.compile(r"<[^<>]*>|```\w*|\bfunction\b|[\W_]")
"""What stands around calls without meaning anything."""
_ELEMENT: Final = re.compile(r"<([\w.:-]+)>")


def closing_of(tag: str) -> str:
    """Return the text that closes what `tag` opened, "" when that cannot be told."""
    if match := _ELEMENT.fullmatch(tag):
        return f"</{match[1]}>"
    if tag.endswith("["):
        return "]"
    return "```" if "```" in tag else ""


@dataclass(slots=True)
class _Block:
    """What was seen since the tag, or since the last call behind it.

    `between` are finished pieces, `piece` is the one that goes on: an object while `brackets`
    follow one. `named` is the first tool whose name stands between objects.
    """

    between: list[str] = field(default_factory=list)
    piece: list[str] = field(default_factory=list)
    brackets: Brackets | None = None
    named: str = ""
    has_called: bool = False

    def end_piece(self) -> str:
        piece = "".join(self.piece)
        self.between.append(piece)
        self.piece = []
        return piece

    def text(self) -> str:
        return "".join([*self.between, *self.piece])


class ToolCallParser:
    """Finds JSON objects behind `tag` that call one of `tools`.

    With the tags `{` and `[`, which are part of the JSON itself, an answer either begins with a
    call or has none. Behind any other tag an object of arguments alone, with the tool's name
    before it, is a call too.
    """

    def __init__(self, tools: Sequence[Tool], tag: str) -> None:
        self._names = frozenset(tool.name for tool in tools if tool.name)
        self._tag = tag
        self._bare = tag in ("{", "[")
        self._opening = "" if tag == "{" else tag
        self._closing = closing_of(tag)
        self._tags = MarkFinder([tag])
        self._closings = MarkFinder([self._closing] if len(self._closing) > 1 else [])
        self._inner = MarkFinder([mark for mark in ("{", self._closing) if mark])
        self._name_finder = MarkFinder(self._names)
        self._state = self._beginning if self._bare else self._looking
        self._waiting = ""
        self._fresh = False
        self._blanks: list[str] = []
        self._block = _Block()
        self._content: list[str] = []
        self._calls: list[Call] = []

    def push(self, text: str) -> Parsed:
        """Take the next text; return what is certain now."""
        self._follow(self._waiting + text, final=False)
        return self._taken()

    def finish(self) -> Parsed:
        """Return what was held back."""
        self._follow(self._waiting, final=True)
        if self._state == self._inside:
            self._leave("")
        self._emit("")
        return self._taken()

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return `body`: the answer is all of the text."""
        return body

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the constraint on a text with `least` to `most` calls."""
        return _block(self._tag).written(tools, least=least, most=most)

    def _follow(self, text: str, *, final: bool) -> None:
        at = 0
        while at < len(text):
            reached = self._state(text, at, final=final)
            if reached is None:
                break
            at = reached
        self._waiting = text[at:]

    def _taken(self) -> Parsed:
        if not (self._content or self._calls):
            return NOTHING
        found = Parsed("".join(self._content), calls=tuple(self._calls))
        self._content, self._calls = [], []
        return found

    def _emit(self, text: str) -> None:
        self._content += [*self._blanks, text] if self._blanks or text else []
        self._blanks = []

    def _words(self, text: str, at: int, *, final: bool) -> int:
        """Take the rest of an answer that has no more calls."""
        self._emit(self._unblanked(text[at:]))
        return len(text)

    def _unblanked(self, text: str) -> str:
        """Return text of the answer without the blanks that follow a call."""
        text = text.lstrip() if self._fresh else text
        self._fresh = self._fresh and not text
        return text

    def _beginning(self, text: str, at: int, *, final: bool) -> int:
        """Take the beginning of an answer, which tells whether it is a call."""
        rest = text[at:].lstrip()
        begun = len(text) - len(rest)
        self._blanks.append(text[at:begun])
        if rest.startswith(self._tag):
            self._open()
            return begun + len(self._opening)
        if rest:
            self._state = self._words
        return begun

    def _looking(self, text: str, at: int, *, final: bool) -> int | None:
        """Take words up to the tag."""
        stop, mark = self._tags.find(text, at, final=final)
        self._emit(self._unblanked(text[at:stop]))
        if mark:
            self._open()
        return stop + len(mark) if mark or stop > at else None

    def _open(self) -> None:
        self._block = _Block()
        self._state = self._inside

    def _inside(self, text: str, at: int, *, final: bool) -> int | None:
        """Take what stands behind the tag, up to the text that closes it."""
        block = self._block
        if block.brackets is not None:
            return self._object(text, at, block.brackets, final=final)
        stop, mark = self._inner.find(text, at, final=final)
        words = text[at:stop]
        if self._tag == "{" and words.strip(" \t\r\n;,"):
            self._leave("")
            return at
        block.piece.append(words)
        if mark == "{":
            self._name(block.end_piece())
            block.brackets = Brackets()
            return stop
        if mark:
            self._leave(mark)
        return stop + len(mark) if mark or stop > at else None

    def _name(self, words: str) -> None:
        """Note the tool that `words` before an object name."""
        if not self._block.named:
            self._block.named = self._name_finder.find(words, 0, final=True)[1]

    def _object(self, text: str, at: int, brackets: Brackets, *, final: bool) -> int | None:
        """Take an object up to its last bracket; the closing text may show that it is broken."""
        stop, mark = self._closings.find(text, at, final=final)
        end = brackets.end(text, at, stop)
        self._block.piece.append(text[at : stop if end is None else end])
        if end is not None:
            self._end_object()
            return end
        if mark and brackets.in_string and not brackets.in_broken_string:
            self._block.piece.append(mark)
        elif mark:
            self._leave(mark)
        return stop + len(mark) if mark or stop > at else None

    def _end_object(self) -> None:
        block = self._block
        block.brackets = None
        call = self._call("".join(block.piece))
        if call is None:
            block.end_piece()
            if self._tag == "{":
                self._leave("")
            return
        self._calls.append(call)
        self._blanks = []
        self._emit_words("".join(block.between), named=block.named)
        self._block = _Block(has_called=True)

    def _leave(self, closing: str) -> None:
        """End the block; what was no call in it is content."""
        block, text = self._block, self._block.text()
        if block.has_called:
            self._emit_words(text)
        else:
            self._emit(self._opening + text + closing)
        self._fresh = block.has_called
        self._state = self._words if self._bare else self._looking

    def _emit_words(self, text: str, *, named: str = "") -> None:
        """Emit a text beside calls, if it says more than the name of the tool."""
        if _NO_WORDS.sub("", text.replace(named, "", 1) if named else text):
            self._emit(text.strip())

    def _call(self, text: str) -> Call | None:
        try:
            value = decode_object(text)
        except NotJSON:
            return None
        found = self._wrapped(value, 0)
        if found is not None or self._bare or _is_wrapper(value):
            return found
        if self._block.named:
            return Call(self._block.named, value)
        name = next((item for item in value.values() if self._is_name(item)), None)
        return None if name is None or "name" in value else _named(str(name), value)

    def _is_name(self, value: object) -> bool:
        return isinstance(value, str) and value in self._names

    def _wrapped(self, value: object, depth: int) -> Call | None:
        """Return the call that `value` is, or that stands somewhere in it."""
        if depth > _MOST_NESTED:
            return None
        if isinstance(value, list):
            inner = (self._wrapped(item, depth + 1) for item in value)
            return next((call for call in inner if call is not None), None)
        if not isinstance(value, dict):
            return None
        if self._is_name(value.get("name")):
            return _named(value["name"], value) if _is_wrapper(value) else None
        for name in self._names & value.keys():
            if (found := arguments_of(value, (name,))) is not None:
                return Call(name, found)
        return self._wrapped(list(value.values()), depth + 1)


def _is_wrapper(value: Mapping[str, object]) -> bool:
    return "name" in value and ("arguments" in value or "parameters" in value)


def _named(name: str, value: Mapping[str, object]) -> Call | None:
    if "arguments" in value or "parameters" in value:
        found = arguments_of(value)
        return None if found is None else Call(name, found)
    return Call(name, value)


def _object(tool: Tool) -> Constraint:
    """Return a call; templates name the arguments either way."""
    key = choice(map(Literal, ARGUMENTS))
    start = Literal(f'{{"name": {quoted(tool.name)}, "')
    return sequence(start, key, Literal('": '), arguments(tool), Literal("}"))


def _demanded(tool: Tool) -> Constraint:
    return json_call(tool, ARGUMENTS)


def _block(tag: str) -> Block:
    closing = closing_of(tag)
    if tag == "{":
        answer = answer_without_call("{", rf"\{{\s*{NO_CALL}")
        return Block(mark="", call=_object, between="\n", answer=answer, demanded=_demanded)
    if tag == "[":
        answer = answer_without_call("[", r"\[\s*[^\s{]")
        return Block(
            mark="",
            call=_object,
            before=tag,
            between=", ",
            after="]",
            answer=answer,
            demanded=_demanded,
        )
    if tag.endswith("["):
        return Block(mark=tag, call=_object, before=tag, between=", ", after="]")
    start, end = Literal(tag + "\n"), Literal("\n" + closing if closing else "")
    return Block(mark=tag, call=lambda tool: sequence(start, _object(tool), end), between="\n")
