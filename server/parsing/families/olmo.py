"""OLMo 3: tool calls in Python syntax, one per line; OLMo 3 Think has no tool calls."""

from collections.abc import Iterator
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

TAGS: Final = ToolCallTags(
    opening="<function_calls>",
    closing="</function_calls>",
    before="<function_calls>",
    between="\n",
    after="</function_calls>",
)
DELIMITERS: Final = (TAGS.opening, TAGS.closing)
_REASONING: Final = ReasoningTags(whitespace="")


def _olmo3(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, TAGS, PythonCalls())


def _olmo3_think(generation: GenerationStart) -> OutputParser:
    """Thinks even when thinking is off."""
    return tag_parser(_REASONING, inside=not generation.prefilled, may_think=False)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    yield OutputFormat(name="olmo3", create_parser=_olmo3, tools=True, visible_tokens=DELIMITERS)
    delimiters = ("<think>", "</think>")
    yield OutputFormat(
        name="olmo3-think", create_parser=_olmo3_think, thinking=True, visible_tokens=delimiters
    )
