"""What every parser of model output is, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runners.protocol.constraints import Constraint
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; `arguments` are decoded JSON, in the order in which they were written."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a piece of text turned out to be; any of the three may be empty."""

    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()


NOTHING = Parsed()


class OutputParser(Protocol):
    """Splits one generation as it streams.

    What it returned is never regretted, and all of it together does not depend on how the text was
    cut. Text that is no call after all is content: nothing that the model wrote is lost, except
    marks and the blanks around them.
    """

    def push(self, text: str) -> Parsed:
        """Take the next text; return what is certain now."""
        ...

    def finish(self) -> Parsed:
        """Return what was held back; the model will write no more."""
        ...

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`.

        Reasoning that the model may begin with stays free; with `may_break_off` the text may end
        within it, too.
        """
        ...

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the constraint on the raw text under which it has `least` to `most` valid calls.

        With `least` 0 an answer in words is allowed, and words may stand before calls. Arguments
        satisfy the schemas of `tools`. None when this format has no syntax for calls.
        """
        ...
