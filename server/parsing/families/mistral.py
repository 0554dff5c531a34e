"""Mistral: tool calls after `[TOOL_CALLS]`, as a name with arguments or as a JSON list."""

from collections.abc import Iterator, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ReasoningBlock, ToolCallBlock, sequence
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.named_json import NamedJSON
from server.prompt.messages import Tool

_CALLS: Final = "[TOOL_CALLS]"
_ARGUMENTS: Final = "[ARGS]"
_ID: Final = "[CALL_ID]"
_THINK: Final = "[THINK]"
_THINK_END: Final = "[/THINK]"
_DELIMITERS: Final = (_CALLS, _ARGUMENTS, _ID, _THINK, _THINK_END)


def _states(names: frozenset[str] | None) -> Mapping[str, State]:
    list_syntax = JSONCalls(declared=names)
    is_named = NamedJSON(between=_ARGUMENTS, label=_ID, declared=names)
    delimiters = {_THINK: "thinking", _CALLS: "calls"}
    return {
        "content": State(kind=StateKind.CONTENT, delimiters=delimiters),
        "thinking": State(kind=StateKind.THINKING, delimiters={_THINK_END: "content"}),
        "calls": State(
            kind=StateKind.HEADER,
            openers={"[": "list", "{": "list"},
            delimiters={_ARGUMENTS: "arguments"},
        ),
        "list": State(kind=StateKind.CALL, ends_with_json=True, syntax=list_syntax),
        "arguments": State(kind=StateKind.HEADER, openers={"{": "value"}),
        "value": State(kind=StateKind.CALL, ends_with_json=True, syntax=is_named),
    }


def _named_call(tool: Tool) -> Constraint:
    is_named = NamedJSON(between=_ARGUMENTS)
    return sequence(Literal(_CALLS), is_named.constraint(tool))


_NAMED_BLOCK: Final = ToolCallBlock(delimiter=_CALLS, call=_named_call)
_LIST_BLOCK: Final = ToolCallBlock(
    delimiter=_CALLS, call=JSONCalls().constraint, before=f"{_CALLS} [", between=", ", after="]"
)


def _parser(
    generation: GenerationStart, names: frozenset[str] | None, block: ToolCallBlock
) -> OutputParser:
    inside = generation.prompt.rstrip().endswith(_THINK)
    thinking = ReasoningBlock(_THINK, _THINK_END, inside=inside)
    initial_state = "thinking" if inside else "content"
    grammar = AnswerGrammar(reasoning=thinking, block=block)
    return DelimiterParser(_states(names), initial_state, grammar=grammar, after_delimiter=inside)


def _ministral(generation: GenerationStart) -> OutputParser:
    """Accept calls of declared tools only."""
    return _parser(generation, frozenset(tool.name for tool in generation.tools), _NAMED_BLOCK)


def mistral(*, is_named: bool, thinks: bool) -> OutputFormat:
    """Return the format of a template whose calls are named or a list, and that may have thoughts.

    Thoughts are told apart in any case.
    """
    block = _NAMED_BLOCK if is_named else _LIST_BLOCK

    def create_parser(generation: GenerationStart) -> OutputParser:
        return _parser(generation, None, block)

    return OutputFormat(
        name="mistral",
        create_parser=create_parser,
        tools=True,
        thinking=thinks,
        visible_tokens=_DELIMITERS,
    )


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(
        name="ministral", create_parser=_ministral, tools=True, visible_tokens=_DELIMITERS
    )
