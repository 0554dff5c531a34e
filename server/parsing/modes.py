"""What a stretch of model output is, and which marks end it: the tables of chat formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Final, Protocol

from server.parsing.marks import MarkFinder, finder
from server.parsing.parser import Parsed

LONGEST_HEADER: Final = 256
LONGEST_CALL: Final = 1 << 20
"""In characters; what is longer is no call but text."""


class Kind(Enum):
    """What becomes of a text."""

    CONTENT = auto()
    THINKING = auto()
    HIDDEN = auto()
    """Reasoning that nobody asked for; it is dropped."""
    HEADER = auto()
    """Held back until it is known what it belongs to."""
    CALL = auto()
    """Held back until it is complete, then read as calls; content when it cannot be."""


class Syntax(Protocol):
    """How calls are written between their marks."""

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the calls of `body`, None when it is no call.

        `closed` is False when the model ended before it wrote the mark that ends a call.
        """
        ...

    def unfinished(self, body: str) -> bool:
        """Tell whether the mark that follows `body` may be part of a value in it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A stretch of text, up to a mark that says what follows.

    `marks` and `leads` map marks to names of modes; leads count only where nothing but blanks
    stands before them. After a mark, blanks are dropped (`strips_start`), those before a mark and
    at the end too (`strips_end`). `route` names the mode that follows a header from its text.

    `whole` says that the mark with which a held text began belongs to it. Of a CALL: `syntax`
    reads it, and `balanced` says that it ends with its JSON value and goes on in the mode `then`.
    Where something held turns out to be no call, the text goes on in the mode `otherwise`.
    """

    kind: Kind
    marks: Mapping[str, str] = field(default_factory=dict)
    leads: Mapping[str, str] = field(default_factory=dict)
    strips_start: bool = True
    strips_end: bool = True
    route: Callable[[str], str] | None = None
    syntax: Syntax | None = None
    whole: bool = False
    balanced: bool = False
    then: str = "content"
    otherwise: str = "content"

    @cached_property
    def finder(self) -> MarkFinder:
        """Finds the marks."""
        return finder(frozenset(self.marks))

    @cached_property
    def lead_finder(self) -> MarkFinder:
        """Finds the leads."""
        return finder(frozenset(self.leads))

    @cached_property
    def collects(self) -> bool:
        """Whether the text is held back."""
        return self.kind in (Kind.HEADER, Kind.CALL)

    @property
    def longest(self) -> int:
        """How many characters may be held back."""
        return LONGEST_HEADER if self.kind is Kind.HEADER else LONGEST_CALL
