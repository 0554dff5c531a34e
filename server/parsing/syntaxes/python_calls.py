"""Calls as Python writes them: a name and keyword arguments in parentheses."""

from collections.abc import Collection
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.parser import Call, Parsed
from server.parsing.syntaxes.literals import NoLiteral, Reader
from server.parsing.writing import listed, parameters, schema, sequence
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCalls:
    """Several calls in a row, with or without commas between them and brackets around them.

    With `declared`, other names are no calls.
    """

    declared: Collection[str] | None = None

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the calls, which fill the whole of `body`."""
        reader = Reader(body)
        try:
            calls = _calls(reader)
        except NoLiteral:
            return None
        known = self.declared is None or all(call.name in self.declared for call in calls)
        return Parsed(calls=tuple(calls)) if calls and known else None

    def unfinished(self, body: str) -> bool:
        """Tell whether a string is open."""
        quote = ""
        escaped = False
        for char in body:
            if escaped:
                escaped = False
            elif quote:
                escaped = char == "\\"
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
        return bool(quote)

    def written(self, tool: Tool) -> Constraint:
        """Return one call, with the arguments in the order of the parameters."""
        parts = [
            (sequence(Literal(f"{one.name}="), schema(one.schema)), one.required)
            for one in parameters(tool)
        ]
        return sequence(Literal(f"{tool.name}("), listed(parts, ", "), Literal(")"))


def _calls(reader: Reader) -> list[Call]:
    listed_calls = reader.takes("[")
    calls: list[Call] = []
    while not (reader.takes("]") if listed_calls else False):
        reader.blanks()
        if reader.at == len(reader.text):
            if listed_calls:
                raise NoLiteral("an open list")
            return calls
        name = reader.word()
        reader.expect("(")
        calls.append(Call(name, reader.mapping(")", "=")))
        reader.takes(",")
    reader.blanks()
    if reader.at < len(reader.text):
        raise NoLiteral("more behind the list")
    return calls
