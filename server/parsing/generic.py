"""The format of a model of which a template tells the tags, and nothing else is known."""

import re
from collections.abc import Sequence
from typing import Final

from runners.protocol.constraints import Constraint
from server.parsing.calls import ToolCallParser, closing_of
from server.parsing.chain import Chain
from server.parsing.family import Beginning, Family
from server.parsing.parser import OutputParser, Parsed
from server.parsing.thinking import thinking_parser
from server.prompt.messages import Tool

_SPECIAL: Final = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")


class Unsplit:
    """Takes all text for content."""

    def push(self, text: str) -> Parsed:
        """Return the text."""
        return Parsed(text)

    def finish(self) -> Parsed:
        """Return nothing: nothing was held back."""
        return Parsed()

    def framed(self, body: Constraint) -> Constraint:
        """Return `body`."""
        return body

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return None: there are no calls."""
        return None


def generic(thinking_tags: tuple[str, str] | None, tool_tag: str) -> Family:
    """Return the format with thinking between two tags and calls behind one; "" for no calls.

    Thinking is only looked for when the model was asked to think, calls only when there are tools.
    """

    def start(beginning: Beginning) -> OutputParser:
        calls = ToolCallParser(beginning.tools, tool_tag) if beginning.tools and tool_tag else None
        if thinking_tags is None or not beginning.think:
            return calls or Unsplit()
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
