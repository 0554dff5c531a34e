"""Llama 3: an answer that is a JSON call, or several of them."""

from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.writing import NO_CALL, Block, Plain, answer_without_call, json_call

_TAG: Final = "<|python_tag|>"
_SYNTAX: Final = JSONCalls(arguments="parameters")
_ANSWER: Final = answer_without_call("{<", rf"(\{{\s*{NO_CALL}|<[^|])")
_BLOCK: Final = Block(
    mark="",
    call=_SYNTAX.written,
    between="; ",
    answer=_ANSWER,
    demanded=lambda tool: json_call(tool, [_SYNTAX.arguments]),
)
_WRITING: Final = Plain(block=_BLOCK)


def _start(beginning: Beginning) -> OutputParser:
    names = {tool.name for tool in beginning.tools}
    syntax = JSONCalls(arguments="parameters", declared=names)
    begins = {_TAG: "tagged", "{": "call"}
    modes = {
        "start": Mode(kind=Kind.CONTENT, leads=begins, strips_end=False),
        "content": Mode(kind=Kind.CONTENT, strips_end=False),
        "tagged": Mode(kind=Kind.HEADER, leads={"{": "call"}),
        "call": Mode(kind=Kind.CALL, balanced=True, whole=True, syntax=syntax, then="after"),
        "after": Mode(kind=Kind.CONTENT, leads={**begins, ";": "after"}, strips_end=False),
    }
    return MarkedParser(modes, "start" if names else "content", writing=_WRITING)


LLAMA3: Final = Family(name="llama3", start=_start, tools=True, visible=(_TAG,))
