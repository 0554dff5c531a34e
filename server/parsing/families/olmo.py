"""OLMo 3: calls as Python writes them, one a line; its thinking sibling calls nothing."""

from collections.abc import Iterator
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.python_calls import PythonCalls
from server.parsing.tagged import CallTags, Thought, tagged

TAGS: Final = CallTags(
    opening="<function_calls>",
    closing="</function_calls>",
    before="<function_calls>",
    between="\n",
    after="</function_calls>",
)
MARKS: Final = (TAGS.opening, TAGS.closing)
_THOUGHT: Final = Thought(blanks="")


def _olmo3(beginning: Beginning) -> OutputParser:
    return tagged(None, TAGS, PythonCalls())


def _olmo3_think(beginning: Beginning) -> OutputParser:
    """Thinks even when it was asked not to."""
    return tagged(_THOUGHT, inside=not beginning.prefilled, may_think=False)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(name="olmo3", start=_olmo3, tools=True, visible=MARKS)
    marks = ("<think>", "</think>")
    yield Family(name="olmo3-think", start=_olmo3_think, thinking=True, visible=marks)
