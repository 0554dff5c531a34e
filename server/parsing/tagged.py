"""Formats in which thinking comes first, between tags, and each call or list of calls has tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from runners.protocol.constraints import Constraint, Literal
from server.parsing.family import Beginning
from server.parsing.marked import MarkedParser
from server.parsing.modes import Kind, Mode, Syntax
from server.parsing.writing import Block, Plain, Reasoning, sequence
from server.prompt.messages import Tool


class WrittenSyntax(Syntax, Protocol):
    """A syntax that knows how one call is written, too."""

    def written(self, tool: Tool) -> Constraint:
        """Return the constraint on one call between its marks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """The tags around thinking, and the `blanks` that the template writes behind it.

    `ended_by_call` says that a call ends it as well.
    """

    opening: str = "<think>"
    closing: str = "</think>"
    blanks: str = "\n\n"
    ended_by_call: bool = False

    def begun(self, beginning: Beginning, *, default: bool) -> bool:
        """Tell whether a generation begins inside it, as its prompt shows or else by `default`."""
        prompt = beginning.prompt.rstrip()
        if prompt.endswith((self.opening, self.closing)):
            return prompt.endswith(self.opening)
        return default


THINK: Final = Thought()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTags:
    """The tags of calls, and what else is written around them.

    Between `opening` and `closing` stands one call, or a list of them: a call is written between
    `each_before` and `each_after`, and all of them, with `between` them, between `before` and
    `after`. The marks in `skipped` mean nothing by themselves.
    """

    opening: str
    closing: str
    before: str = ""
    each_before: str = ""
    each_after: str = ""
    between: str = ""
    after: str = ""
    skipped: tuple[str, ...] = ()

    def block(self, syntax: WrittenSyntax) -> Block:
        """Return how calls stand in an answer."""

        def call(tool: Tool) -> Constraint:
            start, end = Literal(self.each_before), Literal(self.each_after)
            return sequence(start, syntax.written(tool), end)

        return Block(
            mark=self.skipped[0] if self.skipped else self.opening,
            call=call,
            before=self.before,
            between=self.between,
            after=self.after,
        )


def tagged(
    thought: Thought | None = None,
    tags: CallTags | None = None,
    syntax: WrittenSyntax | None = None,
    *,
    inside: bool = False,
    may_think: bool = True,
) -> MarkedParser:
    """Return the parser of such a format.

    The text begins `inside` the thinking, or may begin with it (`may_think`).
    """
    if thought is None:
        inside = may_think = False
    modes = _modes(thought, tags, syntax)
    start = "thinking" if inside else "start" if may_think else "content"
    thinking = None
    if thought is not None and (inside or may_think):
        thinking = Reasoning(thought.opening, thought.closing, thought.blanks, inside)
    block = tags.block(syntax) if tags is not None and syntax is not None else None
    writing = Plain(reasoning=thinking, block=block)
    return MarkedParser(modes, start, writing=writing, fresh=inside)


def _modes(
    thought: Thought | None, tags: CallTags | None, syntax: WrittenSyntax | None
) -> Mapping[str, Mode]:
    calls = {tags.opening: "call", **dict.fromkeys(tags.skipped, "content")} if tags else {}
    modes = {"content": Mode(kind=Kind.CONTENT, marks=calls)}
    if tags is not None:
        ends = {tags.closing: "content", tags.opening: "call"}
        modes["call"] = Mode(kind=Kind.CALL, marks=ends, syntax=syntax)
    if thought is not None:
        leads = {thought.opening: "thinking"}
        marks = {thought.closing: "content", **(calls if thought.ended_by_call else {})}
        modes["start"] = Mode(kind=Kind.CONTENT, leads=leads, marks=calls)
        modes["thinking"] = Mode(kind=Kind.THINKING, leads=leads, marks=marks)
    return modes
