"""Formats in which every message has a header that says whom it is for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runners.protocol.constraints import Choice, Constraint, Literal, Repeat, Without
from server.parsing.modes import Kind, Mode, Syntax
from server.parsing.writing import NO_TEXT, optional, sequence
from server.prompt.messages import Tool

START: Final = "<|start|>"
MESSAGE: Final = "<|message|>"


def headed_modes(
    *,
    leads: Sequence[str],
    ends: Sequence[str],
    route: Callable[[str], str],
    syntax: Syntax,
    thinking: Kind = Kind.THINKING,
) -> Mapping[str, Mode]:
    """Return the modes of such a format; the prompt ends in the first message's header.

    `leads` are the texts with which a header can go on there, `ends` the marks behind a message.
    `route` names the mode of a message from its header: "answer", "thinking" or "call". What has
    no header is an answer too.
    """
    headers = {START: "header"}
    after = dict.fromkeys(ends, "between") | headers
    return {
        "start": Mode(
            kind=Kind.CONTENT,
            leads={MESSAGE: "answer", **dict.fromkeys(leads, "header")},
            marks=headers,
            strips_end=False,
        ),
        "between": Mode(kind=Kind.CONTENT, leads=dict.fromkeys(leads, "header"), marks=headers),
        "header": Mode(
            kind=Kind.HEADER, marks={MESSAGE: ""}, route=route, whole=True, otherwise="answer"
        ),
        "answer": Mode(kind=Kind.CONTENT, marks=after, strips_start=False, strips_end=False),
        "thinking": Mode(kind=thinking, marks=after, strips_start=False, strips_end=False),
        "call": Mode(kind=Kind.CALL, marks=after, syntax=syntax, otherwise="answer"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadedWriting:
    """Answers and calls behind `before`, which goes on from the prompt to the next header.

    `answer` is the header of an answer; `call` writes a message with one call. A call ends the
    generation, so that there is never more than one. No answer contains `mark`. `aside` is a
    message that may come before either, as often as the model likes, unless a call is demanded.
    """

    before: Constraint
    answer: str
    call: Callable[[Tool], Constraint]
    mark: str
    aside: Constraint = NO_TEXT

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return `body` as the answer."""
        return sequence(self.before, Literal(self.answer), body)

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the call, or an answer in words where that is allowed."""
        options: list[Constraint] = []
        if tools and most != 0:
            options += (self.call(tool) for tool in tools)
        if least == 0 or not options:
            options.append(sequence(Literal(self.answer), Without(self.mark)))
        body = options[0] if len(options) == 1 else Choice(tuple(options))
        asides = Repeat(self.aside) if least == 0 and self.aside != NO_TEXT else NO_TEXT
        return sequence(self.before, asides, body)


def thinking_message(header: str, rest: Constraint, *, inside: bool) -> Constraint:
    """Return the thinking before an answer: its rest, or a message that may come."""
    return rest if inside else optional(sequence(Literal(header), rest)) if header else NO_TEXT
