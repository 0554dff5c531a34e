"""The constraints that make a model write what its format's parser reads."""

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
    Listed,
    Literal,
    Regex,
    Repeat,
    Until,
    Without,
)
from server.prompt.messages import Tool

NO_TEXT: Final = Literal("")
_BLANKS: Final = Regex(r"\s{0,2}")
_ANY_OBJECT: Final[Mapping[str, object]] = {"type": "object"}


class Writing(Protocol):
    """Knows how a format frames answers and calls, at one beginning of a generation."""

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return the constraint on the raw text under which its content satisfies `body`.

        With `may_break_off` it may end within the reasoning, too.
        """
        ...

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the constraint on the raw text under which it has `least` to `most` calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """How calls stand in an answer.

    `call` writes one of them. No words before the calls contain `mark`. Of formats that begin an
    answer with a call or not at all, `mark` is "" and `answer` what words may be; `demanded` writes
    their calls where words may not stand instead, but JSON may.
    """

    mark: str
    call: Callable[[Tool], Constraint]
    before: str = ""
    between: str = ""
    after: str = ""
    answer: Constraint = NO_TEXT
    demanded: Callable[[Tool], Constraint] | None = None

    def written(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint:
        """Return the constraint on an answer with `least` to `most` calls."""
        if not tools or most == 0:
            return Without(self.mark) if self.mark else self.answer
        call = self.demanded if least > 0 and self.demanded is not None else self.call
        one = choice(call(tool) for tool in tools)
        further = Repeat(
            sequence(Literal(self.between), one),
            max(least - 1, 0),
            None if most is None else most - 1,
        )
        # A model that learnt to write blanks behind a call must not be led from there to another
        # call, and on to yet another; where no other may follow, the answer simply ends.
        more, end = (NO_TEXT, NO_TEXT) if further.most == 0 else (further, _BLANKS)
        calls = sequence(Literal(self.before), one, more, Literal(self.after), end)
        if least > 0:
            return calls
        if not self.mark:
            return Choice((calls, self.answer))
        # A grammar reads words up to the mark in one piece: were the mark a piece of its own, its
        # beginning would have been read as words before it could be told from them.
        return Choice((Without(self.mark), sequence(Until(self.mark), _behind(self.mark, calls))))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Reasoning between two marks, with `blanks` before the answer.

    It goes on when the text begins `inside` it, else it may come.
    """

    opening: str
    closing: str
    blanks: str = ""
    inside: bool = False

    def before(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return the reasoning and `body`; it `may_break_off` where it needs no answer."""
        blanks: Constraint = Literal(self.blanks)
        if may_break_off and self.blanks:
            blanks = optional(blanks)
        rest = sequence(Until(self.closing), blanks)
        if not self.inside:
            return sequence(optional(sequence(Literal(self.opening), rest)), body)
        whole = sequence(rest, body)
        return Choice((Without(self.closing), whole)) if may_break_off else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """An answer behind `reasoning`, with calls in one `block`; no block, no calls.

    An answer in words is written between `opening` and `closing`.
    """

    reasoning: Reasoning | None = None
    opening: str = ""
    closing: str = ""
    block: Block | None = None

    def framed(self, body: Constraint, *, may_break_off: bool = False) -> Constraint:
        """Return `body` as the answer behind the reasoning."""
        # The end of the turn closes an answer, too; one that may be any text has no other end.
        closing = optional(Literal(self.closing)) if self.closing else NO_TEXT
        answer = sequence(Literal(self.opening), body, closing)
        return self._reasoned(answer, may_break_off=may_break_off)

    def calling(self, tools: Sequence[Tool], *, least: int, most: int | None) -> Constraint | None:
        """Return the block behind the reasoning."""
        if self.block is None:
            return None
        block = self.block.written(tools, least=least, most=most)
        return self._reasoned(block, may_break_off=least == 0)

    def _reasoned(self, body: Constraint, *, may_break_off: bool) -> Constraint:
        if self.reasoning is None:
            return body
        return self.reasoning.before(body, may_break_off=may_break_off)


def _behind(mark: str, part: Constraint) -> Constraint:
    """Return a part that begins with `mark`, without it."""
    if isinstance(part, Concatenation):
        return sequence(_behind(mark, part.parts[0]), *part.parts[1:])
    if isinstance(part, Choice):
        return Choice(tuple(_behind(mark, option) for option in part.options))
    assert isinstance(part, Literal)
    assert part.text.startswith(mark)
    return Literal(part.text.removeprefix(mark))


NO_CALL: Final = r'([^\s"]|"([^n]|n[^a]|na[^m]|nam[^e]|name[^"]))'
"""What follows the bracket of JSON that is no call, because its first key is not the name."""


def answer_without_call(begins_call: str, other: str) -> Constraint:
    """Return an answer where only the beginning can be a call.

    It does not begin with any of the characters `begins_call`, or it begins as the expression
    `other` says.
    """
    first = rf"([^\s{re.escape(begins_call)}]|{other})"
    # One piece: a grammar does not try two ways to cut a text.
    return Choice((NO_TEXT, Regex(rf"{first}(?s:.*)")))


def sequence(*parts: Constraint) -> Constraint:
    """Return one part after the other, in as few parts as possible."""
    flat: list[Constraint] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Concatenation) else (part,):
            if isinstance(piece, Literal) and flat and isinstance(flat[-1], Literal):
                flat[-1] = Literal(flat[-1].text + piece.text)
            elif piece != NO_TEXT:
                flat.append(piece)
    return flat[0] if len(flat) == 1 else Concatenation(tuple(flat)) if flat else NO_TEXT


def choice(options: Iterable[Constraint]) -> Constraint:
    """Return any one of the options, of which there is at least one."""
    found = tuple(options)
    return found[0] if len(found) == 1 else Choice(found)


def optional(part: Constraint) -> Constraint:
    """Return the part or nothing."""
    return Repeat(part, 0, 1)


def arguments(tool: Tool) -> Constraint:
    """Return the JSON object of a tool's arguments."""
    return schema({**tool.parameters, **_ANY_OBJECT})


def schema(value: Mapping[str, object]) -> Constraint:
    """Return JSON that satisfies a schema."""
    return JSONSchema(json.dumps(value, ensure_ascii=False), lenient=True)


def json_call(tool: Tool, keys: Iterable[str]) -> Constraint:
    """Return a call as a JSON object, with the arguments under one of `keys`.

    A grammar can tell it from other JSON at any place, as it could not if it were made of texts.
    """
    shared = definitions(tool.parameters)
    given = {**tool.parameters, **_ANY_OBJECT}
    return choice(
        schema(
            {
                **shared,
                "type": "object",
                "properties": {"name": {"const": tool.name}, key: given},
                "required": ["name", key],
            }
        )
        for key in keys
    )


def quoted(text: str) -> str:
    """Return a text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool, with what its schema refers to."""

    name: str
    schema: Mapping[str, object]
    required: bool


def parameters(tool: Tool) -> tuple[Parameter, ...]:
    """Return a tool's parameters in their order, those that refer to definitions with them."""
    found = tool.parameters.get("properties")
    if not isinstance(found, Mapping):
        return ()
    required = tool.parameters.get("required")
    needed = required if isinstance(required, list | tuple) else ()
    shared = definitions(tool.parameters)
    return tuple(
        Parameter(str(name), _with_definitions(value, shared), name in needed)
        for name, value in found.items()
    )


def _with_definitions(value: object, shared: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        return {}
    return {**shared, **value} if shared and '"$ref"' in json.dumps(value) else value


def definitions(value: Mapping[str, object]) -> Mapping[str, object]:
    """Return the part of a schema that its references lead to."""
    return {key: value[key] for key in ("$defs", "definitions") if key in value}


def listed(parts: Sequence[tuple[Constraint, bool]], separator: str) -> Constraint:
    """Return the parts in their order, separated; those without the flag may be left out."""
    found, needed = tuple(part for part, _ in parts), tuple(needed for _, needed in parts)
    return Listed(found, needed, separator) if parts else NO_TEXT
