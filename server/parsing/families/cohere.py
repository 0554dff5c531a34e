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
from server.parsing.writing import Block, Plain, Reasoning, sequence

_THOUGHT: Final = Thought(opening="<|START_THINKING|>", closing="<|END_THINKING|>", blanks="")
_ACTION: Final = "<|START_ACTION|>"
_ACTION_END: Final = "<|END_ACTION|>"
_TEXT: Final = ("<|START_TEXT|>", "<|END_TEXT|>")
_RESPONSE: Final = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
_SYNTAX: Final = JSONCalls(
    name="tool_name",
    arguments="parameters",
    head=sequence(Literal('"tool_call_id": "'), Regex("[0-9]"), Literal('", ')),
)
_MARKS: Final = {
    **dict.fromkeys((*_TEXT, *_RESPONSE, _THOUGHT.closing), "content"),
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
    """Begin in the thinking, unless it was not asked for or the answer is begun already."""
    return _parser(beginning, _TEXT, thinks=beginning.think is not False)


def _start_of_template(beginning: Beginning) -> OutputParser:
    """Begin in the thinking only when the prompt does; the model may begin it by itself."""
    return _parser(beginning, _RESPONSE, thinks=False)


def _parser(beginning: Beginning, answer: tuple[str, str], *, thinks: bool) -> OutputParser:
    begun = beginning.prefilled
    inside = _THOUGHT.begun(beginning, default=thinks) and not begun
    thinking = Reasoning(_THOUGHT.opening, _THOUGHT.closing, inside=inside)
    writing = Plain(
        reasoning=None if begun else thinking,
        opening="" if begun else answer[0],
        closing=answer[1],
        block=_BLOCK,
    )
    start = "thinking" if inside else "content"
    return MarkedParser(_MODES, start, writing=writing, fresh=inside)


_VISIBLE: Final = (
    *_TEXT,
    *_RESPONSE,
    _THOUGHT.opening,
    _THOUGHT.closing,
    _ACTION,
    _ACTION_END,
)
COHERE_TEMPLATE: Final = Family(
    name="cohere", start=_start_of_template, tools=True, thinking=True, visible=_VISIBLE
)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(name="cohere", start=_start, tools=True, thinking=True, visible=_VISIBLE)
