"""DeepSeek 3.1 and Cogito: a block of calls, each a name and JSON between tags."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.named_json import NamedJSON
from server.parsing.tagged import CallTags, Thought, tagged

_SEPARATOR: Final = "<｜tool▁sep｜>"
BLOCK: Final = CallTags(
    opening="<｜tool▁call▁begin｜>",
    closing="<｜tool▁call▁end｜>",
    before="<｜tool▁calls▁begin｜>",
    each_before="<｜tool▁call▁begin｜>",
    each_after="<｜tool▁call▁end｜>",
    after="<｜tool▁calls▁end｜>",
    skipped=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
)
FENCED_BLOCK: Final = replace(BLOCK, between="\n")
MARKS: Final = (BLOCK.opening, BLOCK.closing, *BLOCK.skipped, _SEPARATOR)
PLAIN: Final = NamedJSON(between=_SEPARATOR)
FENCED: Final = NamedJSON(before=f"function{_SEPARATOR}", between="\n```json\n", after="\n```")
_THINK_MARKS: Final = ("<think>", "</think>")
_DEEPSEEK_THOUGHT: Final = Thought(blanks="")
_COGITO_THOUGHT: Final = Thought(blanks="\n\n")


def _deepseek3(beginning: Beginning) -> OutputParser:
    inside = bool(beginning.think) and not beginning.prefilled
    return tagged(_DEEPSEEK_THOUGHT, BLOCK, PLAIN, inside=inside, may_think=False)


def _cogito(beginning: Beginning) -> OutputParser:
    """Never thinks when there are tools."""
    inside = bool(beginning.think) and not beginning.tools and not beginning.prefilled
    return tagged(_COGITO_THOUGHT, FENCED_BLOCK, FENCED, inside=inside, may_think=False)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    for name, start in (("deepseek3", _deepseek3), ("cogito", _cogito)):
        marks = MARKS + _THINK_MARKS
        yield Family(name=name, start=start, tools=True, thinking=True, visible=marks)
