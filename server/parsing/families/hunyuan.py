"""Hunyuan 3: a section of tool calls, each a name with key and value tags that share a suffix."""

import re
from collections.abc import Callable
from typing import Final

from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.argument_pairs import ArgumentPairs, PairTags
from server.parsing.tag_format import ReasoningTags, ToolCallTags, tag_parser

SIGN: Final = "HYTK"
"""The variable of the template that holds the suffix: `'<tool_sep{}>'.format(HYTK)`."""
_SUFFIX: Final = re.compile(r"set HYTK = ['\"]([:\w]*)['\"]")
_LEVELS: Final = {"medium": "high", "max": "high"}
"""The template knows `low`, `high` and `no_think`, and refuses other words."""


def hunyuan(source: str) -> OutputFormat:
    """Return the format of a template, with the suffix that it gives to its tags."""
    match = _SUFFIX.search(source)
    suffix = "" if match is None else match[1]
    return _format(lambda name: f"<{name}{suffix}>")


def _format(tag: Callable[[str], str]) -> OutputFormat:
    reasoning = ReasoningTags(
        opening=tag("think"), closing=tag("/think"), whitespace="", ended_by_call=True
    )
    section = (tag("tool_calls"), tag("/tool_calls"))
    tags = ToolCallTags(
        opening=tag("tool_call"),
        closing=tag("/tool_call"),
        before=f"{section[0]}\n",
        each_before=tag("tool_call"),
        each_after=tag("/tool_call") + "\n",
        after=section[1],
        skipped=section,
    )
    pairs = PairTags(
        key=tag("arg_key"),
        key_end=tag("/arg_key"),
        value=tag("arg_value"),
        value_end=tag("/arg_value"),
        name_end=tag("tool_sep"),
    )

    def create_parser(generation: GenerationStart) -> OutputParser:
        return tag_parser(
            reasoning,
            tags,
            ArgumentPairs(generation.tools, separator="\n", tags=pairs),
            inside=reasoning.starts_inside(generation, default=False),
            may_think=not generation.prefilled,
        )

    return OutputFormat(
        name="hunyuan-3",
        create_parser=create_parser,
        tools=True,
        thinking=True,
        visible_tokens=(
            *(reasoning.opening, reasoning.closing, tags.opening, tags.closing, *section),
            *(pairs.key, pairs.key_end, pairs.value, pairs.value_end, pairs.name_end),
        ),
        thinking_levels=_LEVELS,
    )
