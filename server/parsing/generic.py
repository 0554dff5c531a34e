"""The format of a model of which a template tells the tags, and nothing else is known."""

import re
from typing import Final

from server.parsing.calls import ToolCallParser, closing_of
from server.parsing.chain import Chain
from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser
from server.parsing.plain import PlainText
from server.parsing.thinking import thinking_parser

_LONGEST_TAG: Final = 256
"""In characters; a longer text of a template is an instruction."""
_SPECIAL: Final = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")


def generic(thinking_tags: tuple[str, str] | None, tool_tag: str) -> Family:
    """Return the format with thinking between two tags and calls behind one; "" for no calls.

    Thinking is only looked for when the model was asked to think, calls only when there are tools.
    Texts that are too long for a tag are none.
    """
    if thinking_tags is not None and max(map(len, thinking_tags)) > _LONGEST_TAG:
        thinking_tags = None
    tool_tag = tool_tag if len(tool_tag) <= _LONGEST_TAG else "{"

    def start(beginning: Beginning) -> OutputParser:
        calls = ToolCallParser(beginning.tools, tool_tag) if beginning.tools and tool_tag else None
        if thinking_tags is None or not beginning.think:
            return calls or PlainText()
        thinking = thinking_parser(*thinking_tags, beginning.prompt)
        return thinking if calls is None else Chain(thinking, calls)

    marks = [*(thinking_tags or ()), *_SPECIAL.findall(tool_tag)[:1], closing_of(tool_tag)]
    return Family(
        name="generic",
        start=start,
        tools=bool(tool_tag),
        thinking=thinking_tags is not None,
        visible=tuple(mark for mark in marks if len(mark) > 1),
    )
