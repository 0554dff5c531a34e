"""LFM2: a list of calls as Python writes them."""

from collections.abc import Iterator
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.tagged import CallTags, Thought, tagged

TAGS: Final = CallTags(
    opening="<|tool_call_start|>",
    closing="<|tool_call_end|>",
    before="<|tool_call_start|>[",
    between=", ",
    after="]<|tool_call_end|>",
)
MARKS: Final = (TAGS.opening, TAGS.closing)
_THOUGHT: Final = Thought(blanks="")


def _lfm2(beginning: Beginning) -> OutputParser:
    return tagged(None, TAGS, PythonCalls())


def _lfm2_thinking(beginning: Beginning) -> OutputParser:
    """May think first, if it was asked to."""
    may_think = bool(beginning.think) and not beginning.prefilled
    return tagged(_THOUGHT, TAGS, PythonCalls(), may_think=may_think)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(name="lfm2", start=_lfm2, tools=True, visible=MARKS)
    marks = (*MARKS, "<think>", "</think>")
    yield Family(
        name="lfm2-thinking", start=_lfm2_thinking, tools=True, thinking=True, visible=marks
    )
