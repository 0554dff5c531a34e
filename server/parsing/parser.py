"""Interface of the output parsers, which split model output into content, thinking and calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runners.protocol.constraints import Constraint
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `arguments` are decoded JSON in the order of the output.

    `lenient_syntax` says how a call was written that is not in the syntax of the model's family.
    """

    name: str
    arguments: Mapping[str, object]
    lenient_syntax: str = ""


@dataclass(frozen=True, slots=True)
class ParsedOutput:
    """A piece of parsed output; any of the three may be empty."""

    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()


NO_OUTPUT = ParsedOutput()


class OutputParser(Protocol):
    """Splits the output of one generation while it streams.

    Returned output is final, and the sum of it does not depend on how the text was cut into chunks.
    Text that turns out not to be a call is content: no output is lost except delimiters and the
    whitespace around them.
    """

    def push(self, text: str) -> ParsedOutput:
        """Consume the next text; return the output that is final."""
        ...

    def finish(self) -> ParsedOutput:
        """Return the text that was held back; there is no more output."""
        ...

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`.

        Reasoning before the content is unconstrained; with `may_end_early` the text may also end
        inside it.
        """
        ...

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint on the raw text under which it has this many valid calls.

        With `min_calls` 0 a text answer is allowed, and text before calls. Arguments satisfy the
        schemas of `tools`. None when this format has no syntax for calls.
        """
        ...
