"""Functionary 3.2: `>>>` and a recipient before each part, which is `all` or a tool.

A prompt ends with `>>>`, so the first recipient stands at the beginning of the text.
"""

from typing import Final

from runners.protocol.constraints import Literal, Without
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ToolCallBlock, sequence
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.named_json import NamedJSON

_PART: Final = ">>>"
_EVERYBODY: Final = "all\n"
_FIRST: Final = NamedJSON(between="\n")
_LATER: Final = NamedJSON(before=_PART, between="\n")
_BLOCK: Final = ToolCallBlock(
    delimiter="",
    call=_FIRST.constraint,
    between=_PART,
    answer=sequence(Literal(_EVERYBODY), Without(_PART)),
    required_call=_FIRST.constraint,
)


def _create_parser(generation: GenerationStart) -> OutputParser:
    names = [tool.name for tool in generation.tools]
    first = {_EVERYBODY: "content", **{f"{name}\n": "first" for name in names}}
    later = {_PART + _EVERYBODY: "content", **{f"{_PART}{name}\n": "call" for name in names}}
    states = {
        "start": State(kind=StateKind.CONTENT, openers=first, delimiters=later),
        "content": State(kind=StateKind.CONTENT, delimiters=later),
        "first": _call(_FIRST),
        "call": _call(_LATER),
    }
    if generation.prefilled:
        return DelimiterParser(states, "content", grammar=AnswerGrammar(block=_BLOCK))
    grammar = AnswerGrammar(opening=_EVERYBODY, block=_BLOCK)
    return DelimiterParser(states, "start", grammar=grammar)


def _call(syntax: NamedJSON) -> State:
    return State(kind=StateKind.CALL, ends_with_json=True, keeps_delimiter=True, syntax=syntax)


FUNCTIONARY_32: Final = OutputFormat(
    name="functionary-3.2", create_parser=_create_parser, tools=True
)
