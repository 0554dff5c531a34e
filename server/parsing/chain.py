"""Two parsers, one behind the other: the second finds calls in the content of the first."""

from collections.abc import Sequence

from runners.protocol.constraints import Constraint
from server.parsing.parser import NOTHING, OutputParser, Parsed
from server.prompt.messages import Tool


class Chain:
    """Splits off thinking with `outer`, and calls from what that leaves as content with `inner`."""

    def __init__(self, outer: OutputParser, inner: OutputParser) -> None:
        self._outer = outer
        self._inner = inner

    def push(self, text: str) -> Parsed:
        """Take the next text; return what is certain now."""
        found = self._outer.push(text)
        read = self._inner.push(found.content) if found.content else NOTHING
        return Parsed(read.content, found.thinking, read.calls)

    def finish(self) -> Parsed:
        """Return what was held back."""
        found = self._outer.finish()
        read = self._inner.push(found.content) if found.content else NOTHING
        rest = self._inner.finish()
        return Parsed(read.content + rest.content, found.thinking, read.calls + rest.calls)

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`."""
        return self._outer.framed(self._inner.framed(body), may_break_off=may_break_off)

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the constraint on the raw text under which it has `least` to `most` calls."""
        calls = self._inner.calling(tools, least=least, most=most)
        return None if calls is None else self._outer.framed(calls, may_break_off=least == 0)
