"""FunctionGemma: calls in braces, with strings between `<escape>` marks."""

from collections.abc import Iterator
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.braced_calls import BracedCalls
from server.parsing.tagged import CallTags, tagged

_TAGS: Final = CallTags(
    opening="<start_function_call>",
    closing="<end_function_call>",
    each_before="<start_function_call>",
    each_after="<end_function_call>",
)


def _start(beginning: Beginning) -> OutputParser:
    return tagged(None, _TAGS, BracedCalls(quote="<escape>"))


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    marks = (_TAGS.opening, _TAGS.closing, "<escape>")
    yield Family(name="functiongemma", start=_start, tools=True, visible=marks)
