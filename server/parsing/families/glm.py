"""GLM and Laguna: calls as a name with pairs of key and value."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.argument_pairs import ArgumentPairs
from server.parsing.tagged import CallTags, Thought, tagged
from server.prompt.messages import Tool

TAGS: Final = CallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>",
    each_after="</tool_call>",
)
_LINES: Final = CallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>",
    each_after="</tool_call>",
    between="\n",
)
_THOUGHT: Final = Thought(blanks="")
_ALIASES: Final = {
    "read_file": "read",
    "write_file": "write",
    "edit_file": "edit",
    "web_fetch": "webfetch",
}
MARKS: Final = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
)


def _glm(beginning: Beginning) -> OutputParser:
    inside = _THOUGHT.begun(beginning, default=beginning.think is not False)
    return tagged(_THOUGHT, TAGS, ArgumentPairs(beginning.tools), inside=inside)


def _glm_ocr(beginning: Beginning) -> OutputParser:
    return tagged(_THOUGHT, TAGS, ArgumentPairs(beginning.tools))


def _laguna(beginning: Beginning) -> OutputParser:
    goes_on = beginning.last is not None and beginning.last.role == "assistant"
    inside = bool(beginning.think) and not goes_on
    return tagged(_THOUGHT, _LINES, _laguna_calls(beginning.tools), inside=inside, may_think=False)


def _poolside(beginning: Beginning) -> OutputParser:
    inside, calls = bool(beginning.think), _laguna_calls(beginning.tools)
    return tagged(_THOUGHT, _LINES, calls, inside=inside, may_think=False)


def _laguna_calls(tools: Sequence[Tool]) -> ArgumentPairs:
    return ArgumentPairs(tools, line="\n", json=True, aliases=_ALIASES)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    yield Family(name="glm-ocr", start=_glm_ocr, tools=True, visible=MARKS)
    for name, start in (("glm-4.7", _glm), ("laguna", _laguna), ("poolside-v1", _poolside)):
        yield Family(name=name, start=start, tools=True, thinking=True, visible=MARKS)
