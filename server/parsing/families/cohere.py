"""Cohere Command A: thinking, tool calls (actions) and answers between delimiters."""

from collections.abc import Iterator
from typing import Final

from runners.protocol.constraints import Literal, Regex
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ReasoningBlock, ToolCallBlock, sequence
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.tag_format import ReasoningTags

_REASONING: Final = ReasoningTags(
    opening="<|START_THINKING|>", closing="<|END_THINKING|>", whitespace=""
)
_ACTION: Final = "<|START_ACTION|>"
_ACTION_END: Final = "<|END_ACTION|>"
_TEXT: Final = ("<|START_TEXT|>", "<|END_TEXT|>")
_RESPONSE: Final = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
_SYNTAX: Final = JSONCalls(
    name="tool_name",
    arguments="parameters",
    prefix=sequence(Literal('"tool_call_id": "'), Regex("[0-9]"), Literal('", ')),
)
_DELIMITERS: Final = {
    **dict.fromkeys((*_TEXT, *_RESPONSE, _REASONING.closing), "content"),
    _REASONING.opening: "thinking",
    _ACTION: "call",
}
_STATES: Final = {
    "content": State(kind=StateKind.CONTENT, delimiters=_DELIMITERS),
    "thinking": State(kind=StateKind.THINKING, delimiters=_DELIMITERS),
    "call": State(
        kind=StateKind.CALL, delimiters={_ACTION_END: "content", _ACTION: "call"}, syntax=_SYNTAX
    ),
}
_BLOCK: Final = ToolCallBlock(
    delimiter=_ACTION,
    call=_SYNTAX.constraint,
    before=f"{_ACTION}[\n    ",
    between=",\n    ",
    after=f"\n]{_ACTION_END}",
)


def _create_parser(generation: GenerationStart) -> OutputParser:
    """Start inside the thinking, unless it is off or the answer is prefilled."""
    return _parser(generation, _TEXT, thinks=generation.think is not False)


def _create_template_parser(generation: GenerationStart) -> OutputParser:
    """Start inside the thinking only if the prompt does; the model may open it itself."""
    return _parser(generation, _RESPONSE, thinks=False)


def _parser(generation: GenerationStart, answer: tuple[str, str], *, thinks: bool) -> OutputParser:
    prefilled = generation.prefilled
    inside = _REASONING.starts_inside(generation, default=thinks) and not prefilled
    thinking = ReasoningBlock(_REASONING.opening, _REASONING.closing, inside=inside)
    grammar = AnswerGrammar(
        reasoning=None if prefilled else thinking,
        opening="" if prefilled else answer[0],
        closing=answer[1],
        block=_BLOCK,
    )
    initial_state = "thinking" if inside else "content"
    return DelimiterParser(_STATES, initial_state, grammar=grammar, after_delimiter=inside)


_VISIBLE: Final = (
    *_TEXT,
    *_RESPONSE,
    _REASONING.opening,
    _REASONING.closing,
    _ACTION,
    _ACTION_END,
)
COHERE_TEMPLATE: Final = OutputFormat(
    name="cohere",
    create_parser=_create_template_parser,
    tools=True,
    thinking=True,
    visible_tokens=_VISIBLE,
)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(
        name="cohere",
        create_parser=_create_parser,
        tools=True,
        thinking=True,
        visible_tokens=_VISIBLE,
    )
