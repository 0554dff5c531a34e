"""IBM Granite 3, Firefunction: a JSON list of tool calls after a delimiter that is not closed."""

from typing import Final

from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ToolCallBlock
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls

_STRAY: Final = ("</tool_call>", "<|/tool_call|>")


def granite(delimiter: str, *, is_word: bool = False) -> OutputFormat:
    """Return the format with calls after `delimiter`; a word may also be part of other text."""
    syntax = JSONCalls()
    delimiters = {delimiter: "calls"}
    states = {
        "content": State(kind=StateKind.CONTENT, delimiters=delimiters),
        "calls": State(kind=StateKind.HEADER, openers={"[": "list", "{": "list"}),
        "list": State(kind=StateKind.CALL, ends_with_json=True, syntax=syntax, next_state="after"),
        "after": State(
            kind=StateKind.CONTENT, openers=dict.fromkeys(_STRAY, "content"), delimiters=delimiters
        ),
    }
    block = ToolCallBlock(
        delimiter=f"{delimiter}[" if is_word else delimiter,
        call=syntax.constraint,
        before=f"{delimiter}[",
        between=", ",
        after="]",
    )
    grammar = AnswerGrammar(block=block)

    def create_parser(generation: GenerationStart) -> OutputParser:
        return DelimiterParser(states, "content", grammar=grammar)

    return OutputFormat(
        name=delimiter if is_word else "granite",
        create_parser=create_parser,
        tools=True,
        visible_tokens=(delimiter, *_STRAY),
    )
