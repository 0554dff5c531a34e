"""Cohere Command R: tool calls as a fenced JSON list after `Action:`, on its line or the next."""

from typing import Final

from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ToolCallBlock
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls

OPENINGS: Final = ("Action: ```json", "Action:```json", "Action:\n```json")
_FENCE: Final = "```"
_SYNTAX: Final = JSONCalls(name="tool_name", arguments="parameters")
_BLOCK: Final = ToolCallBlock(
    delimiter=OPENINGS[0],
    call=_SYNTAX.constraint,
    before=f"{OPENINGS[0]}\n[\n    ",
    between=",\n    ",
    after=f"\n]{_FENCE}",
)


def _create_parser(generation: GenerationStart) -> OutputParser:
    """Accept calls of declared tools only: the template has a pseudo tool that means an answer."""
    names = {tool.name for tool in generation.tools}
    syntax = JSONCalls(name="tool_name", arguments="parameters", declared=names)
    states = {
        "content": State(kind=StateKind.CONTENT, delimiters=dict.fromkeys(OPENINGS, "call")),
        "call": State(kind=StateKind.CALL, delimiters={_FENCE: "content"}, syntax=syntax),
    }
    return DelimiterParser(states, "content", grammar=AnswerGrammar(block=_BLOCK))


COMMAND_R: Final = OutputFormat(name="command-r", create_parser=_create_parser, tools=True)
