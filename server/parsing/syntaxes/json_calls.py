"""Tool calls as JSON objects with a name and arguments, one or a list."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import NO_TEXT, arguments, json_string, sequence
from server.parsing.json_decoding import InvalidJSON, decode, decode_json_object, ends_in_string
from server.parsing.parser import Call, ParsedOutput
from server.prompt.messages import Tool

ARGUMENTS = ("arguments", "parameters")
"""The usual keys of the arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONCalls:
    """Parses and constrains such calls; `name` and `arguments` are the keys that a model writes.

    The usual keys of arguments are parsed too. With `declared`, other names are not calls. `prefix`
    precedes the name in the constraint.
    """

    name: str = "name"
    arguments: str = "arguments"
    declared: Collection[str] | None = None
    prefix: Constraint = NO_TEXT

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the calls; items of a list that are not calls are content."""
        try:
            value = decode(body)
        except InvalidJSON:
            return None
        items = value if isinstance(value, list) else [value]
        parsed_items = [(item, self._call(item)) for item in items]
        calls = tuple(call for _, call in parsed_items if call is not None)
        if not calls:
            return None
        lost = [json.dumps(item, ensure_ascii=False) for item, call in parsed_items if call is None]
        return ParsedOutput("\n".join(lost), calls=calls)

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a string is open."""
        return ends_in_string(body)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call."""
        name, key = json_string(self.name), json_string(self.arguments)
        head = Literal(f"{name}: {json_string(tool.name)}, {key}: ")
        return sequence(Literal("{"), self.prefix, head, arguments(tool), Literal("}"))

    def _call(self, value: object) -> Call | None:
        if not isinstance(value, dict):
            return None
        name = value.get(self.name)
        if not isinstance(name, str) or not name:
            return None
        if self.declared is not None and name not in self.declared:
            return None
        arguments_value = arguments_of(value, (self.arguments, *ARGUMENTS))
        return None if arguments_value is None else Call(name, arguments_value)


def arguments_of(
    value: Mapping[str, object], keys: Collection[str] = ARGUMENTS
) -> Mapping[str, object] | None:
    """Return the arguments under one of `keys`: an object, or a string of JSON with an object.

    Without any of the keys the arguments are empty; None when the value is neither.
    """
    arguments_value = next((value[key] for key in keys if key in value), None)
    if arguments_value is None:
        return {}
    if isinstance(arguments_value, str):
        try:
            return decode_json_object(arguments_value)
        except InvalidJSON:
            return None
    return arguments_value if isinstance(arguments_value, dict) else None
