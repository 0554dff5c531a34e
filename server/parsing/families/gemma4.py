"""Gemma 4: thinking in a channel of its own, calls in braces."""

from collections.abc import Iterator, Mapping
from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.braced_calls import BracedCalls
from server.parsing.tagged import CallTags
from server.parsing.writing import Plain, Reasoning

_THOUGHT: Final = "<|channel>thought"
_THOUGHT_END: Final = "<channel|>"
_TAGS: Final = CallTags(
    opening="<|tool_call>",
    closing="<tool_call|>",
    each_before="<|tool_call>",
    each_after="<tool_call|>",
)
_RESPONSE: Final = "<|tool_response>"
_SYNTAX: Final = BracedCalls(quote='<|"|>')


def _modes(thinking: Kind) -> Mapping[str, Mode]:
    marks = {_THOUGHT: "thinking", _TAGS.opening: "call"}
    stray = {_TAGS.closing: "after", _RESPONSE: "after"}
    return {
        "content": Mode(kind=Kind.CONTENT, marks=marks),
        "thinking": Mode(kind=thinking, marks={_THOUGHT_END: "content", _TAGS.opening: "call"}),
        "call": Mode(
            kind=Kind.CALL, marks={_TAGS.closing: "after", _TAGS.opening: "call"}, syntax=_SYNTAX
        ),
        "after": Mode(kind=Kind.CONTENT, leads=stray, marks=marks),
    }


_SHOWN: Final = _modes(Kind.THINKING)
_HIDDEN: Final = _modes(Kind.HIDDEN)


def _start(beginning: Beginning) -> OutputParser:
    """Hide thinking that was not asked for; behind a tool's result the prompt may have begun it."""
    inside = bool(beginning.think) and beginning.last is not None and beginning.last.role == "tool"
    if beginning.prompt:
        inside = beginning.prompt.rstrip().endswith(_THOUGHT)
    thinking = Reasoning(f"{_THOUGHT}\n", _THOUGHT_END, inside=inside)
    writing = Plain(reasoning=None if beginning.prefilled else thinking, block=_TAGS.block(_SYNTAX))
    modes = _SHOWN if beginning.think else _HIDDEN
    start = "thinking" if inside else "content"
    return MarkedParser(modes, start, writing=writing, fresh=inside)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    marks = ("<|channel>", _THOUGHT_END, _TAGS.opening, _TAGS.closing, _RESPONSE, _SYNTAX.quote)
    for name, thinking in (("gemma4", True), ("gemma4-no-thinking", False)):
        yield Family(name=name, start=_start, tools=True, thinking=thinking, visible=marks)
