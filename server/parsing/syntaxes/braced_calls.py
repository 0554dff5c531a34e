"""Calls as `call:NAME{key:value}` with strings between marks of their own."""

from collections.abc import Mapping
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal, Repeat, Until
from server.parsing.parser import Call, Parsed
from server.parsing.syntaxes.literals import NoLiteral, Reader
from server.parsing.syntaxes.values import types_of
from server.parsing.writing import (
    Parameter,
    choice,
    definitions,
    listed,
    optional,
    parameters,
    quoted,
    schema,
    sequence,
)
from server.prompt.messages import Tool

_MOST_NESTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BracedCalls:
    """`quote` is the mark around strings."""

    quote: str

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the call."""
        reader = Reader(body, quote=self.quote, bare=True)
        try:
            reader.expect("call:")
            name = reader.word()
            reader.expect("{")
            arguments = reader.mapping("}", ":")
            reader.blanks()
        except NoLiteral:
            return None
        return Parsed(calls=(Call(name, arguments),)) if reader.at == len(body) else None

    def unfinished(self, body: str) -> bool:
        """Tell whether a string is open."""
        return body.count(self.quote) % 2 == 1

    def written(self, tool: Tool) -> Constraint:
        """Return one call, with the arguments in the order of the parameters."""
        found = parameters(tool)
        return sequence(Literal(f"call:{tool.name}"), self._object(found, 0))

    def _object(self, found: tuple[Parameter, ...], depth: int) -> Constraint:
        parts = [
            (sequence(Literal(f"{key(one.name)}:"), self._value(one.schema, depth)), one.required)
            for one in found
        ]
        return sequence(Literal("{"), listed(parts, ","), Literal("}"))

    def _value(self, declared: Mapping[str, object], depth: int) -> Constraint:
        """Return a value: a string between its marks; what is not known well is JSON."""
        types = types_of(declared)
        texts = [declared["const"]] if "const" in declared else declared.get("enum")
        if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
            return choice(Literal(f"{self.quote}{text}{self.quote}") for text in texts)
        if types == {"string"}:
            return sequence(Literal(self.quote), Until(self.quote))
        if types == {"array"} and depth < _MOST_NESTED and isinstance(declared.get("items"), dict):
            return self._items(declared, depth)
        if types == {"object"} and depth < _MOST_NESTED and "properties" in declared:
            inner = parameters(Tool(parameters=declared))
            return self._object(inner, depth + 1)
        return schema(declared)

    def _items(self, declared: Mapping[str, object], depth: int) -> Constraint:
        items = declared["items"]
        assert isinstance(items, dict)
        one = self._value({**definitions(declared), **items}, depth + 1)
        least, most = declared.get("minItems", 0), declared.get("maxItems")
        if not isinstance(least, int) or not isinstance(most, int | None) or most == 0:
            return schema(declared)
        more = Repeat(
            sequence(Literal(","), one), max(least - 1, 0), None if most is None else most - 1
        )
        some = sequence(one, more)
        return sequence(Literal("["), some if least > 0 else optional(some), Literal("]"))


def key(name: str) -> str:
    """Return a key as it is written: bare where it reads as a name."""
    plain = name.replace("_", "").isalnum() and name.isascii() and not name[0].isdigit()
    return name if plain else quoted(name)
