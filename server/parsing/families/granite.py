"""Granite 3: a JSON list of calls behind a mark, which nothing closes."""

from typing import Final

from server.parsing.family import Beginning, Family
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode
from server.parsing.parser import OutputParser
from server.parsing.syntaxes.json_calls import JSONCalls
from server.parsing.writing import Block, Plain

_STRAY: Final = ("</tool_call>", "<|/tool_call|>")


def granite(mark: str) -> Family:
    """Return the format with calls behind `mark`."""
    syntax = JSONCalls()
    marks = {mark: "calls"}
    modes = {
        "content": Mode(kind=Kind.CONTENT, marks=marks),
        "calls": Mode(kind=Kind.HEADER, leads={"[": "list", "{": "list"}),
        "list": Mode(kind=Kind.CALL, balanced=True, syntax=syntax, then="after"),
        "after": Mode(kind=Kind.CONTENT, leads=dict.fromkeys(_STRAY, "content"), marks=marks),
    }
    block = Block(mark=mark, call=syntax.written, before=f"{mark}[", between=", ", after="]")
    writing = Plain(block=block)

    def start(beginning: Beginning) -> OutputParser:
        return MarkedParser(modes, "content", writing=writing)

    return Family(name="granite", start=start, tools=True, visible=(mark, *_STRAY))
