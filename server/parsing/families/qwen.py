"""The Qwen families: JSON or tagged parameters between `<tool_call>` tags."""

from collections.abc import Iterator
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.syntaxes.parameter_tags import QWEN, ParameterTags
from server.parsing.syntaxes.values import schemas
from server.parsing.tagged import CallTags, Thought, tagged

TOOL_CALL: Final = CallTags(
    opening="<tool_call>",
    closing="</tool_call>",
    each_before="<tool_call>\n",
    each_after="\n</tool_call>",
    between="\n",
)
THINK: Final = Thought(ended_by_call=True)
_MARKS: Final = ("<tool_call>", "</tool_call>")
_THINK_MARKS: Final = ("<think>", "</think>")


def _qwen3(beginning: Beginning) -> OutputParser:
    return tagged(None, TOOL_CALL, JSONCalls())


def _qwen3_thinking(beginning: Beginning) -> OutputParser:
    inside = THINK.begun(beginning, default=beginning.think is not False)
    return tagged(THINK, TOOL_CALL, JSONCalls(), inside=inside)


def _qwen3_vl_thinking(beginning: Beginning) -> OutputParser:
    """Thinks even when it was asked not to."""
    prefilled = beginning.prefilled
    return tagged(THINK, TOOL_CALL, JSONCalls(), inside=not prefilled, may_think=not prefilled)


def _qwen3_coder(beginning: Beginning) -> OutputParser:
    return tagged(None, TOOL_CALL, _parameter_tags(beginning))


def thinking_with_parameter_tags(beginning: Beginning, thought: Thought = THINK) -> OutputParser:
    """Begin in the thinking, unless it was not asked for or the answer is begun already."""
    prefilled = beginning.prefilled
    inside = thought.begun(beginning, default=beginning.think is not False) and not prefilled
    syntax = _parameter_tags(beginning)
    return tagged(thought, TOOL_CALL, syntax, inside=inside, may_think=not prefilled)


def _parameter_tags(beginning: Beginning) -> ParameterTags:
    return ParameterTags(tags=QWEN, schemas=schemas(beginning.tools))


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    starts = {"qwen3": _qwen3, "qwen3-vl-instruct": _qwen3, "qwen3-coder": _qwen3_coder}
    for name, start in starts.items():
        yield Family(name=name, start=start, tools=True, visible=_MARKS)
    marks = _MARKS + _THINK_MARKS
    yield Family(
        name="qwen3-thinking", start=_qwen3_thinking, tools=True, thinking=True, visible=marks
    )
    yield Family(
        name="qwen3-vl-thinking", start=_qwen3_vl_thinking, tools=True, thinking=True, visible=marks
    )
    for name in ("qwen3.5", "qwen3.8", "ornith"):
        yield Family(
            name=name,
            start=thinking_with_parameter_tags,
            tools=True,
            thinking=True,
            visible=marks,
        )
