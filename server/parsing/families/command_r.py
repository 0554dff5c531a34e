"""Command R: a fenced JSON list behind `Action:`."""

from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.writing import Block, Plain

_OPENINGS: Final = ("Action: ```json", "Action:```json")
_FENCE: Final = "```"
_SYNTAX: Final = JSONCalls(name="tool_name", arguments="parameters")
_BLOCK: Final = Block(
    mark=_OPENINGS[0],
    call=_SYNTAX.written,
    before=f"{_OPENINGS[0]}\n[\n    ",
    between=",\n    ",
    after=f"\n]{_FENCE}",
)


def _start(beginning: Beginning) -> OutputParser:
    """Only tools that were declared are called: the template knows one that means an answer."""
    names = {tool.name for tool in beginning.tools}
    syntax = JSONCalls(name="tool_name", arguments="parameters", declared=names)
    modes = {
        "content": Mode(kind=Kind.CONTENT, marks=dict.fromkeys(_OPENINGS, "call")),
        "call": Mode(kind=Kind.CALL, marks={_FENCE: "content"}, syntax=syntax),
    }
    return MarkedParser(modes, "content", writing=Plain(block=_BLOCK))


COMMAND_R: Final = Family(name="command-r", start=_start, tools=True)
