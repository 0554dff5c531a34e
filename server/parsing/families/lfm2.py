"""Liquid LFM2: a list of tool calls in Python syntax."""

from collections.abc import Iterator
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

TAGS: Final = ToolCallTags(
    opening="<|tool_call_start|>",
    closing="<|tool_call_end|>",
    before="<|tool_call_start|>[",
    between=", ",
    after="]<|tool_call_end|>",
)
DELIMITERS: Final = (TAGS.opening, TAGS.closing)
_REASONING: Final = ReasoningTags(whitespace="")


def _lfm2(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, TAGS, PythonCalls())


def _lfm2_thinking(generation: GenerationStart) -> OutputParser:
    """May start with thinking, if it is on."""
    may_think = bool(generation.think) and not generation.prefilled
    return tag_parser(_REASONING, TAGS, PythonCalls(), may_think=may_think)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(name="lfm2", create_parser=_lfm2, tools=True, visible_tokens=DELIMITERS)
    delimiters = (*DELIMITERS, "<think>", "</think>")
    yield OutputFormat(
        name="lfm2-thinking",
        create_parser=_lfm2_thinking,
        tools=True,
        thinking=True,
        visible_tokens=delimiters,
    )
