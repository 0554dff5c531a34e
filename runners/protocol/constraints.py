"""Constraints on generated text, which the engine compiles to grammars.

The parts are those that chat formats consist of: fixed texts, JSON that satisfies a schema, text
up to a mark. `Lark`, `GBNF` and `Regex` carry grammars that a client wrote.
"""

from __future__ import annotations

import msgspec


class JSONSchema(msgspec.Struct, frozen=True, tag="json_schema"):
    """One JSON value that satisfies `schema` (a JSON text).

    Keywords that cannot be enforced are refused by name, or left out when `lenient`.
    """

    schema: str
    lenient: bool = False


class Regex(msgspec.Struct, frozen=True, tag="regex"):
    """Text that a regular expression matches as a whole."""

    pattern: str


class Lark(msgspec.Struct, frozen=True, tag="lark"):
    """Text in the language of a Lark grammar of llguidance's kind."""

    grammar: str


class GBNF(msgspec.Struct, frozen=True, tag="gbnf"):
    """Text in the language of a llama.cpp grammar."""

    grammar: str


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    """Exactly this text; an empty one is allowed."""

    text: str


class Until(msgspec.Struct, frozen=True, tag="until"):
    """Any text up to the first `end`, which belongs to it.

    With a `pattern`, a regular expression, only text that matches it may stand before `end`.
    """

    end: str
    pattern: str = ""


class Without(msgspec.Struct, frozen=True, tag="without"):
    """Any text, the empty one too, in which `mark` does not occur; "" allows every text."""

    mark: str


class Concatenation(msgspec.Struct, frozen=True, tag="concatenation"):
    """One part after the other."""

    parts: tuple[Constraint, ...]


class Choice(msgspec.Struct, frozen=True, tag="choice"):
    """Any one of the parts."""

    options: tuple[Constraint, ...]


class Repeat(msgspec.Struct, frozen=True, tag="repeat"):
    """The part `least` to `most` times; `most` None sets no bound."""

    part: Constraint
    least: int = 0
    most: int | None = None


class SeparatedList(msgspec.Struct, frozen=True, tag="separated_list"):
    """The parts in order with `separator` between them; those not `required` may be left out.

    There are as many flags as parts.
    """

    parts: tuple[Constraint, ...]
    required: tuple[bool, ...]
    separator: str


class Voluntary(msgspec.Struct, frozen=True, tag="voluntary"):
    """A thought or a tool call, which masks never begin: the model must sample its first tokens.

    When a token that the model sampled is rejected before the part has begun, the part is no longer
    allowed; when that happens in its middle, it is cut to `shortest`, if it has such a form.
    """

    part: Constraint
    shortest: Constraint | None = None


Constraint = (
    JSONSchema
    | Regex
    | Lark
    | GBNF
    | Literal
    | Until
    | Without
    | Concatenation
    | Choice
    | Repeat
    | SeparatedList
    | Voluntary
)
