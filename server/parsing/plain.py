"""Text that is nothing but content."""

from collections.abc import Sequence

from runners.protocol.constraints import Constraint
from server.parsing.parser import NOTHING, OutputParser, Parsed
from server.prompt.messages import Tool


class PlainText(OutputParser):
    """Hands everything on, at once."""

    def push(self, text: str) -> Parsed:
        """Return the text."""
        return Parsed(text)

    def finish(self) -> Parsed:
        """Return nothing: nothing was held back."""
        return NOTHING

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return `body`: the raw text is the content."""
        return body

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return None: plain text has no calls."""
        return None
