"""Calls as JSON objects with a name and arguments, one or a list of them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.jsontext import NotJSON, decode, decode_object, ends_in_string
from server.parsing.parser import Call, Parsed
from server.parsing.writing import NO_TEXT, arguments, quoted, sequence
from server.prompt.messages import Tool

ARGUMENTS = ("arguments", "parameters")
"""The usual names of the arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONCalls:
    """`name` and `arguments` are the keys as the model is to write them; both usual ones are read.

    With `declared`, other names are no calls. `head` stands before the name in what is written.
    """

    name: str = "name"
    arguments: str = "arguments"
    declared: Collection[str] | None = None
    head: Constraint = NO_TEXT

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the calls; in a list, what is no call stays content."""
        try:
            value = decode(body)
        except NotJSON:
            return None
        items = value if isinstance(value, list) else [value]
        read = [(item, self._call(item)) for item in items]
        calls = tuple(call for _, call in read if call is not None)
        if not calls:
            return None
        lost = [json.dumps(item, ensure_ascii=False) for item, call in read if call is None]
        return Parsed("\n".join(lost), calls=calls)

    def unfinished(self, body: str) -> bool:
        """Tell whether a string is open."""
        return ends_in_string(body)

    def written(self, tool: Tool) -> Constraint:
        """Return one object."""
        named = f"{quoted(self.name)}: {quoted(tool.name)}, {quoted(self.arguments)}: "
        return sequence(Literal("{"), self.head, Literal(named), arguments(tool), Literal("}"))

    def _call(self, value: object) -> Call | None:
        if not isinstance(value, dict):
            return None
        name = value.get(self.name)
        if not isinstance(name, str) or not name:
            return None
        if self.declared is not None and name not in self.declared:
            return None
        found = arguments_of(value, (self.arguments, *ARGUMENTS))
        return None if found is None else Call(name, found)


def arguments_of(
    value: Mapping[str, object], keys: Collection[str] = ARGUMENTS
) -> Mapping[str, object] | None:
    """Return the arguments under one of `keys`, as an object or a text that holds one.

    A call without any has none; what is neither is no call.
    """
    found = next((value[key] for key in keys if key in value), None)
    if found is None:
        return {}
    if isinstance(found, str):
        try:
            return decode_object(found)
        except NotJSON:
            return None
    return found if isinstance(found, dict) else None
