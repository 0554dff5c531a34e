"""States of the delimiter parser: what kind of output each holds and which delimiters end it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Final, Protocol

from server.parsing.delimiter_finder import DelimiterFinder, delimiter_finder
from server.parsing.parser import ParsedOutput

MAX_HEADER: Final = 256
MAX_CALL: Final = 1 << 20
"""In characters; longer text is content, not a call."""


class StateKind(Enum):
    """What becomes of the text of a state."""

    CONTENT = auto()
    THINKING = auto()
    HIDDEN = auto()
    """Reasoning that the request did not ask for; dropped."""
    HEADER = auto()
    """Buffered until its end decides which state follows."""
    CALL = auto()
    """Buffered until it is complete, then parsed as calls; content when it cannot be parsed."""


class CallSyntax(Protocol):
    """The syntax of tool calls between their delimiters."""

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the calls of `body`, None when it is not a call.

        `closed` is False when the output ended before the delimiter that ends a call.
        """
        ...

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a delimiter that follows `body` may be part of a value in it."""
        ...


@dataclass(frozen=True, kw_only=True)
class State:
    """A stretch of output up to a delimiter, which decides the next state.

    `delimiters` and `openers` map delimiters to names of states; openers count only at the
    beginning of the state, after whitespace at most. Whitespace is dropped after a delimiter
    (`strips_start`), before one and at the end (`strips_end`). `route` returns the name of the
    state that follows a header from the header's text.

    `keeps_delimiter` says that the delimiter that began a buffer is part of it. Of a CALL, `syntax`
    parses it, and `ends_with_json` says that it ends with its JSON value; `next_state` follows.
    `fallback_state` follows a buffer that is not a call.
    """

    kind: StateKind
    delimiters: Mapping[str, str] = field(default_factory=dict)
    openers: Mapping[str, str] = field(default_factory=dict)
    strips_start: bool = True
    strips_end: bool = True
    route: Callable[[str], str] | None = None
    syntax: CallSyntax | None = None
    keeps_delimiter: bool = False
    ends_with_json: bool = False
    next_state: str = "content"
    fallback_state: str = "content"

    @cached_property
    def delimiter_finder(self) -> DelimiterFinder:
        """Finds the delimiters."""
        return delimiter_finder(frozenset(self.delimiters))

    @cached_property
    def opener_finder(self) -> DelimiterFinder:
        """Finds the openers."""
        return delimiter_finder(frozenset(self.openers))

    @cached_property
    def buffers(self) -> bool:
        """Whether the text is buffered."""
        return self.kind in (StateKind.HEADER, StateKind.CALL)

    @property
    def max_buffered(self) -> int:
        """How many characters are buffered at most."""
        return MAX_HEADER if self.kind is StateKind.HEADER else MAX_CALL
