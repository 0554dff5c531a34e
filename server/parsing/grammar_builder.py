"""Grammar builder: constraints under which a model writes what its output parser reads."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runners.protocol.constraints import (
    Choice,
    Concatenation,
    Constraint,
    JSONSchema,
    Literal,
    Regex,
    Repeat,
    SeparatedList,
    Until,
    Voluntary,
    Without,
)
from server.parsing.tool_parameters import definitions
from server.prompt.messages import Tool

NO_TEXT: Final = Literal("")
_WHITESPACE: Final = Regex(r"\s{0,2}")
_ANY_OBJECT: Final[Mapping[str, object]] = {"type": "object"}


class OutputGrammar(Protocol):
    """The constraints on answers and tool calls of one generation in one format."""

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`.

        With `may_end_early` it may also end inside the reasoning.
        """
        ...

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the constraint on the raw text under which it has this many calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallBlock:
    """How tool calls are placed in an answer.

    `call` returns the constraint on one call. Text before the calls does not contain `delimiter`.
    For formats whose answer is either text or calls, `delimiter` is "", `answer` the constraint on
    the text, and `required_call` the constraint on a call where text is not allowed.
    """

    delimiter: str
    call: Callable[[Tool], Constraint]
    before: str = ""
    between: str = ""
    after: str = ""
    answer: Constraint = NO_TEXT
    required_call: Callable[[Tool], Constraint] | None = None

    def constraint(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint:
        """Return the constraint on an answer with `min_calls` to `max_calls` calls."""
        if not tools or max_calls == 0:
            return Without(self.delimiter) if self.delimiter else self.answer
        call = self.required_call if min_calls > 0 and self.required_call is not None else self.call
        one = choice(call(tool) for tool in tools)
        further = Repeat(
            sequence(Literal(self.between), one),
            max(min_calls - 1, 0),
            None if max_calls is None else max_calls - 1,
        )
        # Whitespace after a call must not lead into another call, and on to yet another; where no
        # other call may follow, the answer ends.
        more, end = (NO_TEXT, NO_TEXT) if further.most == 0 else (further, _WHITESPACE)
        calls = sequence(Literal(self.before), one, more, Literal(self.after), end)
        if min_calls > 0:
            return calls
        if not self.delimiter:
            return Choice((Voluntary(calls), self.answer))
        # The delimiter belongs to the text before it: as a part of its own, its first characters
        # would already have matched as text.
        return Choice(
            (
                Without(self.delimiter),
                sequence(Until(self.delimiter), _behind(self.delimiter, calls)),
            )
        )


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """Reasoning between two delimiters, with `whitespace` before the answer.

    It continues when the text starts `inside` it; otherwise the model may begin it.
    """

    opening: str
    closing: str
    whitespace: str = ""
    inside: bool = False

    def before(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return reasoning and `body`; with `may_end_early` the text may end in the reasoning."""
        whitespace: Constraint = Literal(self.whitespace)
        if may_end_early and self.whitespace:
            whitespace = optional(whitespace)
        rest = sequence(Until(self.closing), whitespace)
        if not self.inside:
            empty = Literal(self.opening + self.closing + self.whitespace)
            return sequence(thought(sequence(Literal(self.opening), rest), empty), body)
        complete = sequence(rest, body)
        return Choice((Without(self.closing), complete)) if may_end_early else complete


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGrammar:
    """An answer after `reasoning`, with tool calls in one `block`; without a block, no calls.

    A text answer is written between `opening` and `closing`.
    """

    reasoning: ReasoningBlock | None = None
    opening: str = ""
    closing: str = ""
    block: ToolCallBlock | None = None

    def constrain_answer(self, body: Constraint, *, may_end_early: bool = False) -> Constraint:
        """Return `body` as the answer after the reasoning."""
        # The end of the turn also ends an answer; for free text it is the only end.
        closing = optional(Literal(self.closing)) if self.closing else NO_TEXT
        answer = sequence(Literal(self.opening), body, closing)
        return self._reasoned(answer, may_end_early=may_end_early)

    def constrain_calls(
        self, tools: Sequence[Tool], *, min_calls: int, max_calls: int | None
    ) -> Constraint | None:
        """Return the calls after the reasoning."""
        if self.block is None:
            return None
        block = self.block.constraint(tools, min_calls=min_calls, max_calls=max_calls)
        return self._reasoned(block, may_end_early=min_calls == 0)

    def _reasoned(self, body: Constraint, *, may_end_early: bool) -> Constraint:
        if self.reasoning is None:
            return body
        return self.reasoning.before(body, may_end_early=may_end_early)


def _behind(delimiter: str, part: Constraint) -> Constraint:
    """Return a part that begins with `delimiter`, without it."""
    if isinstance(part, Concatenation):
        return sequence(_behind(delimiter, part.parts[0]), *part.parts[1:])
    if isinstance(part, Choice):
        return Choice(tuple(_behind(delimiter, option) for option in part.options))
    assert isinstance(part, Literal)
    assert part.text.startswith(delimiter)
    return Literal(part.text.removeprefix(delimiter))


NO_CALL: Final = r'([^\s"]|"([^n]|n[^a]|na[^m]|nam[^e]|name[^"]))'
"""What follows the bracket of JSON whose first key is not "name", so that it is not a call."""


def answer_without_call(begins_call: str, other: str) -> Constraint:
    """Return the constraint on a text answer in a format whose calls start the answer.

    It does not start with one of the characters `begins_call`, or it starts as the regular
    expression `other` says.
    """
    first = rf"([^\s{re.escape(begins_call)}]|{other})"
    # One regular expression: a grammar does not try two ways to split a text.
    return Choice((NO_TEXT, Regex(rf"{first}(?s:.*)")))


def sequence(*parts: Constraint) -> Constraint:
    """Return the concatenation of the parts, adjacent literals joined."""
    flat: list[Constraint] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Concatenation) else (part,):
            if isinstance(piece, Literal) and flat and isinstance(flat[-1], Literal):
                flat[-1] = Literal(flat[-1].text + piece.text)
            elif piece != NO_TEXT:
                flat.append(piece)
    return flat[0] if len(flat) == 1 else Concatenation(tuple(flat)) if flat else NO_TEXT


def choice(options: Iterable[Constraint]) -> Constraint:
    """Return one of the options; at least one is needed."""
    alternatives = tuple(options)
    return alternatives[0] if len(alternatives) == 1 else Choice(alternatives)


def optional(part: Constraint) -> Constraint:
    """Return the part or nothing."""
    return Repeat(part, 0, 1)


def thought(part: Constraint, shortest: Constraint) -> Constraint:
    """Return reasoning that the model may begin, or nothing."""
    return Choice((Voluntary(part, shortest), NO_TEXT))


def arguments(tool: Tool) -> Constraint:
    """Return the JSON object of a tool's arguments."""
    return schema({**tool.argument_schema, **_ANY_OBJECT}, lenient=tool.enforced is None)


def schema(value: Mapping[str, object], *, lenient: bool = True) -> Constraint:
    """Return JSON that satisfies a schema; `lenient` leaves out what cannot be enforced."""
    return JSONSchema(json.dumps(value, ensure_ascii=False), lenient=lenient)


def json_call(tool: Tool, keys: Iterable[str]) -> Constraint:
    """Return a call as a JSON object, with the arguments under one of `keys`.

    Made of a JSON Schema and not of literals, a grammar can tell it from other JSON at any point.
    """
    shared_definitions = definitions(tool.argument_schema)
    arguments_schema = {**tool.argument_schema, **_ANY_OBJECT}
    return choice(
        schema(
            {
                **shared_definitions,
                "type": "object",
                "properties": {"name": {"const": tool.name}, key: arguments_schema},
                "required": ["name", key],
            },
            lenient=tool.enforced is None,
        )
        for key in keys
    )


def json_string(text: str) -> str:
    """Return a text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def ordered_list(parts: Sequence[tuple[Constraint, bool]], separator: str) -> Constraint:
    """Return the parts in order, separated; parts whose flag is False are optional."""
    items, needed = tuple(part for part, _ in parts), tuple(needed for _, needed in parts)
    return SeparatedList(items, needed, separator) if parts else NO_TEXT
