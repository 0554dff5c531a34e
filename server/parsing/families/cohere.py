"""Command A: thinking, actions and answers each between marks of their own."""

from collections.abc import Iterator
from typing import Final

from runners.protocol.constraints import Literal, Regex
from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.tagged import Thought
from server.parsing.writing import NO_TEXT, Block, Plain, reasoning, sequence

_THOUGHT: Final = Thought(opening="<|START_THINKING|>", closing="<|END_THINKING|>", blanks="")
_ACTION: Final = "<|START_ACTION|>"
_ACTION_END: Final = "<|END_ACTION|>"
_TEXT: Final = "<|START_TEXT|>"
_TEXT_END: Final = "<|END_TEXT|>"
_ANSWERS: Final = (_TEXT, _TEXT_END, "<|START_RESPONSE|>", "<|END_RESPONSE|>")
_SYNTAX: Final = JSONCalls(
    name="tool_name",
    arguments="parameters",
    head=sequence(Literal('"tool_call_id": "'), Regex("[0-9]"), Literal('", ')),
)
_MARKS: Final = {
    **dict.fromkeys((*_ANSWERS, _THOUGHT.closing), "content"),
    _THOUGHT.opening: "thinking",
    _ACTION: "call",
}
_MODES: Final = {
    "content": Mode(kind=Kind.CONTENT, marks=_MARKS),
    "thinking": Mode(kind=Kind.THINKING, marks=_MARKS),
    "call": Mode(kind=Kind.CALL, marks={_ACTION_END: "content", _ACTION: "call"}, syntax=_SYNTAX),
}
_BLOCK: Final = Block(
    mark=_ACTION,
    call=_SYNTAX.written,
    before=f"{_ACTION}[\n    ",
    between=",\n    ",
    after=f"\n]{_ACTION_END}",
)


def _start(beginning: Beginning) -> OutputParser:
    begun = beginning.prefilled
    inside = _THOUGHT.begun(beginning, default=beginning.think is not False) and not begun
    thinking = reasoning(_THOUGHT.opening, _THOUGHT.closing, "", inside=True) if inside else NO_TEXT
    opening = "" if begun else _TEXT
    writing = Plain(reasoning=thinking, opening=opening, closing=_TEXT_END, block=_BLOCK)
    start = "thinking" if inside else "content"
    return MarkedParser(_MODES, start, writing=writing, fresh=inside)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    marks = (*_ANSWERS, _THOUGHT.opening, _THOUGHT.closing, _ACTION, _ACTION_END)
    yield Family(name="cohere", start=_start, tools=True, thinking=True, visible=marks)
