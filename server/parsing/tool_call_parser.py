"""Tool call parser for models whose Go template only tells the tag that starts a tool call."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.delimiter_finder import DelimiterFinder
from server.parsing.grammar_builder import (
    NO_CALL,
    ToolCallBlock,
    answer_without_call,
    arguments,
    choice,
    json_call,
    json_string,
    sequence,
)
from server.parsing.json_decoding import InvalidJSON, JSONEndFinder, decode_json_object
from server.parsing.parser import NO_OUTPUT, Call, ParsedOutput
from server.parsing.syntaxes.json_calls import ARGUMENTS, arguments_of
from server.prompt.messages import Tool

_MAX_DEPTH: Final = 16
_CALL_SYNTAX: Final = re.compile(r"<[^<>]*>|```\w*|\bfunction\b|[\W_]")
"""Tags, code fences and punctuation around calls: text of these alone is not content."""
_ELEMENT: Final = re.compile(r"<([\w.:-]+)>")


def closing_of(tag: str) -> str:
    """Return the closing tag for an opening `tag`, "" when there is none."""
    if match := _ELEMENT.fullmatch(tag):
        return f"</{match[1]}>"
    if tag.endswith("["):
        return "]"
    return "```" if "```" in tag else ""


@dataclass(slots=True)
class _Block:
    """The text since the opening tag, or since the last call after it.

    `segments` are complete, `segment` is still growing: it is a JSON object while `json_end` is
    set. `tool_name` is the first tool whose name was seen between objects.
    """

    segments: list[str] = field(default_factory=list)
    segment: list[str] = field(default_factory=list)
    json_end: JSONEndFinder | None = None
    tool_name: str = ""
    has_call: bool = False

    def end_segment(self) -> str:
        segment = "".join(self.segment)
        self.segments.append(segment)
        self.segment = []
        return segment

    def text(self) -> str:
        return "".join([*self.segments, *self.segment])


class ToolCallParser:
    """Finds JSON objects after `tag` that call one of `tools`.

    The tags `{` and `[` are part of the JSON: an answer then either starts with a call or has no
    calls. After any other tag, an object of arguments with the tool's name before it is a call too.

    States::

        tag "{" or "["                         any other tag

        START --- tag ----> BLOCK              SEARCH --- tag ----> BLOCK
          |                   |                   ^                   |
          | other text        | end of JSON       +-- closing tag ----+
          v                   v                       or end of text
        CONTENT <-------------+
        (the rest is content)

    BLOCK collects prose and JSON objects. A complete object becomes a call when it names a tool;
    a block that ends without a call is returned as content.
    """

    def __init__(self, tools: Sequence[Tool], tag: str) -> None:
        self._names = frozenset(tool.name for tool in tools if tool.name)
        self._tag = tag
        self._is_json_tag = tag in ("{", "[")
        self._opening = "" if tag == "{" else tag
        self._closing = closing_of(tag)
        self._tag_finder = DelimiterFinder([tag])
        self._closing_finder = DelimiterFinder([self._closing] if len(self._closing) > 1 else [])
        self._block_finder = DelimiterFinder(
            [delimiter for delimiter in ("{", self._closing) if delimiter]
        )
        self._name_finder = DelimiterFinder(self._names)
        self._state = self._start_state if self._is_json_tag else self._search_state
        self._pending = ""
        self._after_call = False
        self._whitespace: list[str] = []
        self._block = _Block()
        self._content: list[str] = []
        self._calls: list[Call] = []

    def push(self, text: str) -> ParsedOutput:
        """Consume the next text; return the output that is final."""
        self._consume(self._pending + text, final=False)
        return self._take_output()

    def finish(self) -> ParsedOutput:
        """Return the text that was held back."""
        self._consume(self._pending, final=True)
        if self._state == self._block_state:
            self._leave_block("")
        self._emit("")
        return self._take_output()

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return `body`: the whole text is the answer."""
        return body

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint on a text with `min_calls` to `max_calls` calls."""
        return _block(self._tag).constraint(tools, min_calls=min_calls, max_calls=max_calls)

    def _consume(self, text: str, *, final: bool) -> None:
        at = 0
        while at < len(text):
            position = self._state(text, at, final=final)
            if position is None:
                break
            at = position
        self._pending = text[at:]

    def _take_output(self) -> ParsedOutput:
        if not (self._content or self._calls):
            return NO_OUTPUT
        result = ParsedOutput("".join(self._content), calls=tuple(self._calls))
        self._content, self._calls = [], []
        return result

    def _emit(self, text: str) -> None:
        self._content += [*self._whitespace, text] if self._whitespace or text else []
        self._whitespace = []

    def _content_state(self, text: str, at: int, *, final: bool) -> int:
        """CONTENT: take the rest of an answer that has no more calls."""
        self._emit(self._strip_after_call(text[at:]))
        return len(text)

    def _strip_after_call(self, text: str) -> str:
        """Return text of the answer without the whitespace after a call."""
        text = text.lstrip() if self._after_call else text
        self._after_call = self._after_call and not text
        return text

    def _start_state(self, text: str, at: int, *, final: bool) -> int:
        """START: take the start of an answer, which decides whether it is a call."""
        rest = text[at:].lstrip()
        text_start = len(text) - len(rest)
        self._whitespace.append(text[at:text_start])
        if rest.startswith(self._tag):
            self._open_block()
            return text_start + len(self._opening)
        if rest:
            self._state = self._content_state
        return text_start

    def _search_state(self, text: str, at: int, *, final: bool) -> int | None:
        """SEARCH: take text up to the tag."""
        stop, delimiter = self._tag_finder.find(text, at, final=final)
        self._emit(self._strip_after_call(text[at:stop]))
        if delimiter:
            self._open_block()
        return stop + len(delimiter) if delimiter or stop > at else None

    def _open_block(self) -> None:
        self._block = _Block()
        self._state = self._block_state

    def _block_state(self, text: str, at: int, *, final: bool) -> int | None:
        """BLOCK: take text after the tag, up to the closing tag."""
        block = self._block
        if block.json_end is not None:
            return self._object_state(text, at, block.json_end, final=final)
        stop, delimiter = self._block_finder.find(text, at, final=final)
        prose = text[at:stop]
        if self._tag == "{" and prose.strip(" \t\r\n;,"):
            self._leave_block("")
            return at
        block.segment.append(prose)
        if delimiter == "{":
            self._find_tool_name(block.end_segment())
            block.json_end = JSONEndFinder()
            return stop
        if delimiter:
            self._leave_block(delimiter)
        return stop + len(delimiter) if delimiter or stop > at else None

    def _find_tool_name(self, prose: str) -> None:
        """Remember the tool that the text before an object names."""
        if not self._block.tool_name:
            self._block.tool_name = self._name_finder.find(prose, 0, final=True)[1]

    def _object_state(
        self, text: str, at: int, json_end: JSONEndFinder, *, final: bool
    ) -> int | None:
        """Take an object up to its last bracket; a closing tag inside shows that it is broken."""
        stop, delimiter = self._closing_finder.find(text, at, final=final)
        end = json_end.end(text, at, stop)
        self._block.segment.append(text[at : stop if end is None else end])
        if end is not None:
            self._end_object()
            return end
        if delimiter and json_end.in_string and not json_end.in_broken_string:
            self._block.segment.append(delimiter)
        elif delimiter:
            self._leave_block(delimiter)
        return stop + len(delimiter) if delimiter or stop > at else None

    def _end_object(self) -> None:
        block = self._block
        block.json_end = None
        call = self._call("".join(block.segment))
        if call is None:
            block.end_segment()
            if self._tag == "{":
                self._leave_block("")
            return
        self._calls.append(call)
        self._whitespace = []
        self._emit_text("".join(block.segments), tool_name=block.tool_name)
        self._block = _Block(has_call=True)

    def _leave_block(self, closing: str) -> None:
        """End the block; without a call its text is content."""
        block, text = self._block, self._block.text()
        if block.has_call:
            self._emit_text(text)
        else:
            self._emit(self._opening + text + closing)
        self._after_call = block.has_call
        self._state = self._content_state if self._is_json_tag else self._search_state

    def _emit_text(self, text: str, *, tool_name: str = "") -> None:
        """Emit text beside calls as content, unless it only names the tool."""
        if _CALL_SYNTAX.sub("", text.replace(tool_name, "", 1) if tool_name else text):
            self._emit(text.strip())

    def _call(self, text: str) -> Call | None:
        try:
            value = decode_json_object(text)
        except InvalidJSON:
            return None
        result = self._find_call(value, 0)
        if result is not None or self._is_json_tag or _has_name_and_arguments(value):
            return result
        if self._block.tool_name:
            return Call(self._block.tool_name, value)
        name = next((item for item in value.values() if self._is_name(item)), None)
        return None if name is None or "name" in value else _call_of_tool(str(name), value)

    def _is_name(self, value: object) -> bool:
        return isinstance(value, str) and value in self._names

    def _find_call(self, value: object, depth: int) -> Call | None:
        """Return the call that `value` is or contains."""
        if depth > _MAX_DEPTH:
            return None
        if isinstance(value, list):
            inner = (self._find_call(item, depth + 1) for item in value)
            return next((call for call in inner if call is not None), None)
        if not isinstance(value, dict):
            return None
        if self._is_name(value.get("name")):
            return _call_of_tool(value["name"], value) if _has_name_and_arguments(value) else None
        for name in self._names & value.keys():
            if (result := arguments_of(value, (name,))) is not None:
                return Call(name, result)
        return self._find_call(list(value.values()), depth + 1)


def _has_name_and_arguments(value: Mapping[str, object]) -> bool:
    return "name" in value and ("arguments" in value or "parameters" in value)


def _call_of_tool(name: str, value: Mapping[str, object]) -> Call | None:
    if "arguments" in value or "parameters" in value:
        result = arguments_of(value)
        return None if result is None else Call(name, result)
    return Call(name, value)


def _object_state(tool: Tool) -> Constraint:
    """Return a call; the key of the arguments may be either of the usual two."""
    key = choice(map(Literal, ARGUMENTS))
    start = Literal(f'{{"name": {json_string(tool.name)}, "')
    return sequence(start, key, Literal('": '), arguments(tool), Literal("}"))


def _required_call(tool: Tool) -> Constraint:
    return json_call(tool, ARGUMENTS)


def _block(tag: str) -> ToolCallBlock:
    closing = closing_of(tag)
    if tag == "{":
        answer = answer_without_call("{", rf"\{{\s*{NO_CALL}")
        return ToolCallBlock(
            delimiter="",
            call=_object_state,
            between="\n",
            answer=answer,
            required_call=_required_call,
        )
    if tag == "[":
        answer = answer_without_call("[", r"\[\s*[^\s{]")
        return ToolCallBlock(
            delimiter="",
            call=_object_state,
            before=tag,
            between=", ",
            after="]",
            answer=answer,
            required_call=_required_call,
        )
    if tag.endswith("["):
        return ToolCallBlock(delimiter=tag, call=_object_state, before=tag, between=", ", after="]")
    start, end = Literal(tag + "\n"), Literal("\n" + closing if closing else "")
    return ToolCallBlock(
        delimiter=tag, call=lambda tool: sequence(start, _object_state(tool), end), between="\n"
    )
