"""Nemotron 3: Qwen's tagged parameters behind thinking."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from server.parsing.families.qwen import THINK, thinking_with_parameter_tags
from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser

_THOUGHT: Final = replace(THINK, blanks="\n")


def _start(beginning: Beginning) -> OutputParser:
    return thinking_with_parameter_tags(beginning, _THOUGHT)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    marks = ("<think>", "</think>", "<tool_call>", "</tool_call>")
    for name in ("nemotron-3-nano", "nemotron-3.5-nano"):
        yield Family(name=name, start=_start, tools=True, thinking=True, visible=marks)
