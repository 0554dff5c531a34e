"""Glimmer: messages to the user, to itself or to a tool, calls with tagged parameters."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Until
from server.parsing.family import Beginning, Family
from server.parsing.headed import MESSAGE, START, HeadedWriting, headed_modes, thinking_message
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind
from server.parsing.parser import OutputParser, Parsed
from server.parsing.syntaxes.parameter_tags import ATEM, ParameterTags
from server.parsing.syntaxes.values import schemas
from server.parsing.writing import sequence
from server.prompt.messages import Tool

_ENDS: Final = ("<|eom|>", "<|eot|>")
_CALLS: Final = "<atem:function_calls>"
_CALLS_END: Final = "</atem:function_calls>"
_RECIPIENT: Final = re.compile(r"to=([^\s<]+)")


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls behind a header, between tags of their own."""

    calls: ParameterTags

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        text = body.partition(MESSAGE)[2].strip()
        if not (text.startswith(_CALLS) and text.endswith(_CALLS_END)):
            return None
        return self.calls.read(text[len(_CALLS) : -len(_CALLS_END)], closed=closed)

    def unfinished(self, body: str) -> bool:
        return self.calls.unfinished(body)


def _start(beginning: Beginning) -> OutputParser:
    """Hide the thinking of a model that was asked not to think."""
    found = schemas(beginning.tools)

    def route(header: str) -> str:
        match = _RECIPIENT.search(header)
        recipient = "" if match is None else match[1]
        if recipient == "self":
            return "thinking"
        return "call" if {recipient, recipient.rpartition(".")[2]} & found.keys() else "answer"

    calls = ParameterTags(tags=ATEM, schemas=found, strict=True)
    modes = headed_modes(
        leads=("to=",),
        ends=_ENDS,
        route=route,
        syntax=_Calls(calls),
        thinking=Kind.HIDDEN if beginning.think is False else Kind.THINKING,
    )

    def call(tool: Tool) -> Constraint:
        start = Literal(f" to={tool.name}{MESSAGE}{_CALLS}\n")
        return sequence(start, calls.written(tool), Literal(f"\n{_CALLS_END}"))

    rest = sequence(Until(_ENDS[0]), Literal(f"{START}assistant"))
    before = thinking_message(f" to=self{MESSAGE}", rest, inside=False)
    writing = HeadedWriting(before=before, answer=f" to=user{MESSAGE}", call=call, mark=START)
    return MarkedParser(modes, "start", writing=writing)


def families() -> Iterator[Family]:
    """Yield the families of this file."""
    marks = (START, MESSAGE, *_ENDS)
    yield Family(name="glimmer", start=_start, tools=True, thinking=True, visible=marks)
