"""DeepSeek V3.1 and Cogito: a block of tool calls, each a name and JSON between tags."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

_SEPARATOR: Final = "<｜tool▁sep｜>"
TAGS: Final = ToolCallTags(
    opening="<｜tool▁call▁begin｜>",
    closing="<｜tool▁call▁end｜>",
    before="<｜tool▁calls▁begin｜>",
    each_before="<｜tool▁call▁begin｜>",
    each_after="<｜tool▁call▁end｜>",
    after="<｜tool▁calls▁end｜>",
    skipped=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
)
FENCED_TAGS: Final = replace(TAGS, between="\n")
DELIMITERS: Final = (TAGS.opening, TAGS.closing, *TAGS.skipped, _SEPARATOR)
NAMED_CALL: Final = NamedJSON(between=_SEPARATOR)
FENCED_CALL: Final = NamedJSON(before=f"function{_SEPARATOR}", between="\n```json\n", after="\n```")
_THINK_TAGS: Final = ("<think>", "</think>")
_DEEPSEEK_REASONING: Final = ReasoningTags(whitespace="")
_COGITO_REASONING: Final = ReasoningTags(whitespace="\n\n")


def _deepseek3(generation: GenerationStart) -> OutputParser:
    inside = bool(generation.think) and not generation.prefilled
    return tag_parser(_DEEPSEEK_REASONING, TAGS, NAMED_CALL, inside=inside, may_think=False)


def _cogito(generation: GenerationStart) -> OutputParser:
    """Cogito does not think when there are tools."""
    inside = bool(generation.think) and not generation.tools and not generation.prefilled
    return tag_parser(_COGITO_REASONING, FENCED_TAGS, FENCED_CALL, inside=inside, may_think=False)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    for name, create_parser in (("deepseek3", _deepseek3), ("cogito", _cogito)):
        delimiters = DELIMITERS + _THINK_TAGS
        yield OutputFormat(
            name=name,
            create_parser=create_parser,
            tools=True,
            thinking=True,
            visible_tokens=delimiters,
        )
