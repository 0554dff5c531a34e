"""Tool calls as `call:NAME{key:value}` with strings between quote tokens (Gemma)."""

from collections.abc import Mapping
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal, Repeat, Until
from server.parsing.grammar_builder import (
    choice,
    json_string,
    optional,
    ordered_list,
    schema,
    sequence,
)
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.literals import InvalidLiteral, LiteralReader
from server.parsing.syntaxes.values import types_of
from server.parsing.tool_parameters import Parameter, definitions, parameters
from server.prompt.messages import Tool

_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BracedCalls:
    """Parses and constrains such calls; `quote` is the token around strings."""

    quote: str

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the call."""
        reader = LiteralReader(body, quote=self.quote, allows_unquoted=True)
        try:
            reader.expect("call:")
            name = reader.identifier()
            reader.expect("{")
            arguments = reader.mapping("}", ":")
            reader.whitespace()
        except InvalidLiteral:
            return None
        return (
            ParsedOutput(calls=(Call(name, arguments),)) if reader.position == len(body) else None
        )

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a string is open."""
        return body.count(self.quote) % 2 == 1

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with arguments in the order of the parameters."""
        tool_parameters = parameters(tool)
        return sequence(Literal(f"call:{tool.name}"), self._object(tool_parameters, 0))

    def _object(self, tool_parameters: tuple[Parameter, ...], depth: int) -> Constraint:
        parts = [
            (
                sequence(Literal(f"{key_text(one.name)}:"), self._argument(one, depth)),
                one.required,
            )
            for one in tool_parameters
        ]
        return sequence(Literal("{"), ordered_list(parts, ","), Literal("}"))

    def _argument(self, parameter: Parameter, depth: int) -> Constraint:
        if parameter.pattern:
            return sequence(Literal(self.quote), Until(self.quote, parameter.pattern))
        return self._value(parameter.schema, depth)

    def _value(self, declared: Mapping[str, object], depth: int) -> Constraint:
        """Return the constraint on a value: strings between quotes, other types as JSON."""
        types = types_of(declared)
        texts = [declared["const"]] if "const" in declared else declared.get("enum")
        if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
            return choice(Literal(f"{self.quote}{text}{self.quote}") for text in texts)
        if types == {"string"}:
            return sequence(Literal(self.quote), Until(self.quote))
        if types == {"array"} and depth < _MAX_DEPTH and isinstance(declared.get("items"), dict):
            return self._items(declared, depth)
        if types == {"object"} and depth < _MAX_DEPTH and "properties" in declared:
            inner = parameters(Tool(parameters=declared))
            return self._object(inner, depth + 1)
        return schema(declared)

    def _items(self, declared: Mapping[str, object], depth: int) -> Constraint:
        items = declared["items"]
        assert isinstance(items, dict)
        one = self._value({**definitions(declared), **items}, depth + 1)
        min_items, max_items = declared.get("minItems", 0), declared.get("maxItems")
        if (
            not isinstance(min_items, int)
            or not isinstance(max_items, int | None)
            or max_items == 0
        ):
            return schema(declared)
        more = Repeat(
            sequence(Literal(","), one),
            max(min_items - 1, 0),
            None if max_items is None else max_items - 1,
        )
        some = sequence(one, more)
        return sequence(Literal("["), some if min_items > 0 else optional(some), Literal("]"))


def key_text(name: str) -> str:
    """Return a key as it is written: without quotes where it is an identifier."""
    plain = name.replace("_", "").isalnum() and name.isascii() and not name[0].isdigit()
    return name if plain else json_string(name)
