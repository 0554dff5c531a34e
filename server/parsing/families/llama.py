"""Llama 3: an answer is text, or one or more JSON tool calls."""

from typing import Final

from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import (
    NO_CALL,
    AnswerGrammar,
    ToolCallBlock,
    answer_without_call,
    json_call,
)
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls

_TAG: Final = "<|python_tag|>"
_SYNTAX: Final = JSONCalls(arguments="parameters")
_ANSWER: Final = answer_without_call("{<", rf"(\{{\s*{NO_CALL}|<[^|])")
_BLOCK: Final = ToolCallBlock(
    delimiter="",
    call=_SYNTAX.constraint,
    between="; ",
    answer=_ANSWER,
    required_call=lambda tool: json_call(tool, [_SYNTAX.arguments]),
)
_GRAMMAR: Final = AnswerGrammar(block=_BLOCK)


def _create_parser(generation: GenerationStart) -> OutputParser:
    names = {tool.name for tool in generation.tools}
    syntax = JSONCalls(arguments="parameters", declared=names)
    begins = {_TAG: "tagged", "{": "call"}
    states = {
        "start": State(kind=StateKind.CONTENT, openers=begins, strips_end=False),
        "content": State(kind=StateKind.CONTENT, strips_end=False),
        "tagged": State(kind=StateKind.HEADER, openers={"{": "call"}),
        "call": State(
            kind=StateKind.CALL,
            ends_with_json=True,
            keeps_delimiter=True,
            syntax=syntax,
            next_state="after",
        ),
        "after": State(kind=StateKind.CONTENT, openers={**begins, ";": "after"}, strips_end=False),
    }
    return DelimiterParser(states, "start" if names else "content", grammar=_GRAMMAR)


LLAMA3: Final = OutputFormat(
    name="llama3", create_parser=_create_parser, tools=True, visible_tokens=(_TAG,)
)
