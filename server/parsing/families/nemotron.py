"""Nemotron 3: thinking, then tool calls with tagged parameters as Qwen3-Coder writes them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from server.parsing.families.qwen import THINK, thinking_with_parameter_tags
from server.parsing.output_format import GenerationStart, OutputFormat
from server.parsing.parser import OutputParser

_REASONING: Final = replace(THINK, whitespace="\n")


def _create_parser(generation: GenerationStart) -> OutputParser:
    return thinking_with_parameter_tags(generation, _REASONING)


def formats() -> Iterator[OutputFormat]:
    """Yield the output formats of this module."""
    delimiters = ("<think>", "</think>", "<tool_call>", "</tool_call>")
    for name in ("nemotron-3-nano", "nemotron-3.5-nano"):
        yield OutputFormat(
            name=name,
            create_parser=_create_parser,
            tools=True,
            thinking=True,
            visible_tokens=delimiters,
        )
