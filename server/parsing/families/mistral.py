"""Mistral: calls behind `[TOOL_CALLS]`, as a name with arguments or as a JSON list."""

from collections.abc import Iterator, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.writing import Block, Plain, Reasoning, sequence
from server.prompt.messages import Tool

_CALLS: Final = "[TOOL_CALLS]"
_ARGUMENTS: Final = "[ARGS]"
_ID: Final = "[CALL_ID]"
_THOUGHT: Final = "[THINK]"
_THOUGHT_END: Final = "[/THINK]"
_MARKS: Final = (_CALLS, _ARGUMENTS, _ID, _THOUGHT, _THOUGHT_END)


def _modes(names: frozenset[str] | None) -> Mapping[str, Mode]:
    listed = JSONCalls(declared=names)
    named = NamedJSON(between=_ARGUMENTS, label=_ID, declared=names)
    marks = {_THOUGHT: "thinking", _CALLS: "calls"}
    return {
        "content": Mode(kind=Kind.CONTENT, marks=marks),
        "thinking": Mode(kind=Kind.THINKING, marks={_THOUGHT_END: "content"}),
        "calls": Mode(
            kind=Kind.HEADER,
            leads={"[": "list", "{": "list"},
            marks={_ARGUMENTS: "arguments"},
        ),
        "list": Mode(kind=Kind.CALL, balanced=True, syntax=listed),
        "arguments": Mode(kind=Kind.HEADER, leads={"{": "value"}),
        "value": Mode(kind=Kind.CALL, balanced=True, syntax=named),
    }


def _named(tool: Tool) -> Constraint:
    named = NamedJSON(between=_ARGUMENTS)
    return sequence(Literal(_CALLS), named.written(tool))


_NAMED: Final = Block(mark=_CALLS, call=_named)
_LISTED: Final = Block(
    mark=_CALLS, call=JSONCalls().written, before=f"{_CALLS} [", between=", ", after="]"
)


def _parser(beginning: Beginning, names: frozenset[str] | None, block: Block) -> OutputParser:
    inside = beginning.prompt.rstrip().endswith(_THOUGHT)
    thinking = Reasoning(_THOUGHT, _THOUGHT_END, inside=inside)
    start = "thinking" if inside else "content"
    writing = Plain(reasoning=thinking, block=block)
    return MarkedParser(_modes(names), start, writing=writing, fresh=inside)


def _ministral(beginning: Beginning) -> OutputParser:
    """Only tools that were declared can be called."""
    return _parser(beginning, frozenset(tool.name for tool in beginning.tools), _NAMED)


def mistral(*, named: bool) -> Family:
    """Return the format of a template, which writes calls by name or as a list."""
    block = _NAMED if named else _LISTED

    def start(beginning: Beginning) -> OutputParser:
        return _parser(beginning, None, block)

    return Family(name="mistral", start=start, tools=True, thinking=True, visible=_MARKS)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(name="ministral", start=_ministral, tools=True, visible=_MARKS)
