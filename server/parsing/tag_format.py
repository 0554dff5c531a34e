"""Output formats with tags: reasoning between tags, then content and tagged tool calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from runners.protocol.constraints import Constraint, Literal
from server.parsing.delimiter_parser import DelimiterParser
from server.parsing.grammar_builder import AnswerGrammar, ReasoningBlock, ToolCallBlock, sequence
from server.parsing.output_format import GenerationStart
from server.parsing.parser_states import CallSyntax, State, StateKind
from server.prompt.messages import Tool


class ConstrainedSyntax(CallSyntax, Protocol):
    """A call syntax that can also constrain the model to write it."""

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call between its delimiters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningTags:
    """The tags around reasoning, and the `whitespace` that templates write after it.

    `ended_by_call` says that a tool call ends the reasoning too.
    """

    opening: str = "<think>"
    closing: str = "</think>"
    whitespace: str = "\n\n"
    ended_by_call: bool = False

    def starts_inside(self, generation: GenerationStart, *, default: bool) -> bool:
        """Tell whether a generation starts inside the reasoning: by its prompt, else `default`."""
        prompt = generation.prompt.rstrip()
        if prompt.endswith((self.opening, self.closing)):
            return prompt.endswith(self.opening)
        return default


THINK: Final = ReasoningTags()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallTags:
    """The tags of tool calls, and the text around them.

    Between `opening` and `closing` is one call or a list of calls: each call is written between
    `each_before` and `each_after`, and all of them, separated by `between`, between `before` and
    `after`. The delimiters in `skipped` are dropped.
    """

    opening: str
    closing: str
    before: str = ""
    each_before: str = ""
    each_after: str = ""
    between: str = ""
    after: str = ""
    skipped: tuple[str, ...] = ()

    def block(self, syntax: ConstrainedSyntax) -> ToolCallBlock:
        """Return how calls are placed in an answer."""

        def call(tool: Tool) -> Constraint:
            start, end = Literal(self.each_before), Literal(self.each_after)
            return sequence(start, syntax.constraint(tool), end)

        return ToolCallBlock(
            delimiter=self.skipped[0] if self.skipped else self.opening,
            call=call,
            before=self.before,
            between=self.between,
            after=self.after,
        )


def tag_parser(
    reasoning_tags: ReasoningTags | None = None,
    tags: ToolCallTags | None = None,
    syntax: ConstrainedSyntax | None = None,
    *,
    inside: bool = False,
    may_think: bool = True,
    answer: tuple[str, str] = ("", ""),
) -> DelimiterParser:
    """Return the parser of such a format.

    The text starts `inside` the reasoning, or may start with it (`may_think`). A model that is
    constrained writes its text between the two of `answer`; a parser needs them in `skipped`.
    """
    if reasoning_tags is None:
        inside = may_think = False
    states = _states(reasoning_tags, tags, syntax)
    start = "thinking" if inside else "start" if may_think else "content"
    thinking = None
    if reasoning_tags is not None and (inside or may_think):
        thinking = ReasoningBlock(
            reasoning_tags.opening, reasoning_tags.closing, reasoning_tags.whitespace, inside
        )
    block = tags.block(syntax) if tags is not None and syntax is not None else None
    opening, closing = answer
    grammar = AnswerGrammar(reasoning=thinking, opening=opening, closing=closing, block=block)
    return DelimiterParser(states, start, grammar=grammar, after_delimiter=inside)


def _states(
    reasoning_tags: ReasoningTags | None,
    tags: ToolCallTags | None,
    syntax: ConstrainedSyntax | None,
) -> Mapping[str, State]:
    calls = {tags.opening: "call", **dict.fromkeys(tags.skipped, "content")} if tags else {}
    states = {"content": State(kind=StateKind.CONTENT, delimiters=calls)}
    if tags is not None:
        ends = {tags.closing: "content", tags.opening: "call"}
        states["call"] = State(kind=StateKind.CALL, delimiters=ends, syntax=syntax)
    if reasoning_tags is not None:
        openers = {reasoning_tags.opening: "thinking"}
        delimiters = {
            reasoning_tags.closing: "content",
            **(calls if reasoning_tags.ended_by_call else {}),
        }
        states["start"] = State(kind=StateKind.CONTENT, openers=openers, delimiters=calls)
        states["thinking"] = State(kind=StateKind.THINKING, openers=openers, delimiters=delimiters)
    return states
