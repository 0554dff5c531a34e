"""Output formats whose messages have headers with channel or recipient: harmony and Glimmer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Repeat, Voluntary, Without
from server.parsing.grammar_builder import NO_TEXT, choice, sequence, thought
from server.parsing.parser_states import CallSyntax, State, StateKind
from server.prompt.messages import Tool

START: Final = "<|start|>"
MESSAGE: Final = "<|message|>"


def header_states(
    *,
    openers: Sequence[str],
    ends: Sequence[str],
    route: Callable[[str], str],
    syntax: CallSyntax,
    thinking: StateKind = StateKind.THINKING,
) -> Mapping[str, State]:
    """Return the parser states of such a format; the prompt ends inside the first header.

    `openers` are the texts that may continue that header, `ends` the delimiters after a message.
    `route` returns the state of a message from its header: "answer", "thinking" or "call". Text
    without a header is an answer too.
    """
    headers = {START: "header"}
    after = dict.fromkeys(ends, "between") | headers
    return {
        "start": State(
            kind=StateKind.CONTENT,
            openers={MESSAGE: "answer", **dict.fromkeys(openers, "header")},
            delimiters=headers,
            strips_end=False,
        ),
        "between": State(
            kind=StateKind.CONTENT, openers=dict.fromkeys(openers, "header"), delimiters=headers
        ),
        "header": State(
            kind=StateKind.HEADER,
            delimiters={MESSAGE: ""},
            route=route,
            keeps_delimiter=True,
            fallback_state="answer",
        ),
        "answer": State(
            kind=StateKind.CONTENT, delimiters=after, strips_start=False, strips_end=False
        ),
        "thinking": State(kind=thinking, delimiters=after, strips_start=False, strips_end=False),
        "call": State(
            kind=StateKind.CALL, delimiters=after, syntax=syntax, fallback_state="answer"
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderGrammar:
    """Constraints on answers and calls after `prefix`, the text between prompt and next header.

    `answer` is the header of an answer; `call` returns a message with one call. A call ends the
    generation, so there is at most one. No answer contains `delimiter`. `preamble` is a message
    that may come before either any number of times, unless a call is required.
    """

    prefix: Constraint
    answer: str
    call: Callable[[Tool], Constraint]
    delimiter: str
    preamble: Constraint = NO_TEXT

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return `body` as the answer."""
        return sequence(self.prefix, Literal(self.answer), body)

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the call, or a text answer where that is allowed."""
        calls = [self.call(tool) for tool in tools] if max_calls != 0 else []
        if min_calls > 0 and calls:
            return sequence(self.prefix, choice(calls))
        answer = sequence(Literal(self.answer), Without(self.delimiter))
        body = choice((*map(Voluntary, calls), answer))
        preambles: Constraint = NO_TEXT
        if min_calls == 0 and self.preamble != NO_TEXT:
            preambles = Repeat(Voluntary(self.preamble))
        return sequence(self.prefix, preambles, body)


def reasoning_message(header: str, rest: Constraint, shortest: str, *, inside: bool) -> Constraint:
    """Return the reasoning before an answer: its rest, or a message that the model may begin.

    `rest` is the text after its header, `shortest` that of an empty message.
    """
    if inside or not header:
        return rest if inside else NO_TEXT
    return thought(sequence(Literal(header), rest), Literal(header + shortest))
