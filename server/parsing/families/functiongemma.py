"""FunctionGemma: tool calls in braces, with strings between `<escape>` tokens."""

from collections.abc import Iterator
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.braced_calls import BracedCalls
from server.parsing.tag_format import ToolCallTags, tag_parser

_TAGS: Final = ToolCallTags(
    opening="<start_function_call>",
    closing="<end_function_call>",
    each_before="<start_function_call>",
    each_after="<end_function_call>",
)


def _create_parser(generation: GenerationStart) -> OutputParser:
    return tag_parser(None, _TAGS, BracedCalls(quote="<escape>"))


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    delimiters = (_TAGS.opening, _TAGS.closing, "<escape>")
    yield OutputFormat(
        name="functiongemma", create_parser=_create_parser, tools=True, visible_tokens=delimiters
    )
