"""Gemma 4: thinking in a channel, tool calls in braces."""

from collections.abc import Iterator, Mapping
from typing import Final

from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ReasoningBlock
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.parser_states import State, StateKind
from server.parsing.syntaxes.braced_calls import BracedCalls
from server.parsing.tag_format import ToolCallTags

_CHANNEL: Final = "<|channel>thought"
_CHANNEL_END: Final = "<channel|>"
_TAGS: Final = ToolCallTags(
    opening="<|tool_call>",
    closing="<tool_call|>",
    each_before="<|tool_call>",
    each_after="<tool_call|>",
)
_RESPONSE: Final = "<|tool_response>"
_SYNTAX: Final = BracedCalls(quote='<|"|>')


def _states(thinking: StateKind) -> Mapping[str, State]:
    delimiters = {_CHANNEL: "thinking", _TAGS.opening: "call"}
    stray = {_TAGS.closing: "after", _RESPONSE: "after"}
    return {
        "content": State(kind=StateKind.CONTENT, delimiters=delimiters),
        "thinking": State(
            kind=thinking, delimiters={_CHANNEL_END: "content", _TAGS.opening: "call"}
        ),
        "call": State(
            kind=StateKind.CALL,
            delimiters={_TAGS.closing: "after", _TAGS.opening: "call"},
            syntax=_SYNTAX,
        ),
        "after": State(kind=StateKind.CONTENT, openers=stray, delimiters=delimiters),
    }


_VISIBLE_STATES: Final = _states(StateKind.THINKING)
_HIDDEN_STATES: Final = _states(StateKind.HIDDEN)


def _create_parser(generation: GenerationStart) -> OutputParser:
    """Hide thinking that is off; after a tool result the prompt may have opened it."""
    inside = (
        bool(generation.think) and generation.last is not None and generation.last.role == "tool"
    )
    if generation.prompt:
        inside = generation.prompt.rstrip().endswith(_CHANNEL)
    thinking = ReasoningBlock(f"{_CHANNEL}\n", _CHANNEL_END, inside=inside)
    grammar = AnswerGrammar(
        reasoning=None if generation.prefilled else thinking, block=_TAGS.block(_SYNTAX)
    )
    states = _VISIBLE_STATES if generation.think else _HIDDEN_STATES
    initial_state = "thinking" if inside else "content"
    return DelimiterParser(states, initial_state, grammar=grammar, after_delimiter=inside)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    delimiters = (
        "<|channel>",
        _CHANNEL_END,
        _TAGS.opening,
        _TAGS.closing,
        _RESPONSE,
        _SYNTAX.quote,
    )
    for name, thinking in (("gemma4", True), ("gemma4-no-thinking", False)):
        yield OutputFormat(
            name=name,
            create_parser=_create_parser,
            tools=True,
            thinking=thinking,
            visible_tokens=delimiters,
        )
