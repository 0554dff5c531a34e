"""Tool calls in Python syntax: a name with keyword arguments (LFM2, OLMo 3)."""

from collections.abc import Collection
from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import ordered_list, schema, sequence
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.literals import InvalidLiteral, LiteralReader
from server.parsing.tool_parameters import parameters
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCalls:
    """Parses and constrains such calls: several in a row, optionally a bracketed list.

    With `declared`, other names are not calls.
    """

    declared: Collection[str] | None = None

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the calls, which make up all of `body`."""
        reader = LiteralReader(body)
        try:
            calls = _calls(reader)
        except InvalidLiteral:
            return None
        are_declared = self.declared is None or all(call.name in self.declared for call in calls)
        return ParsedOutput(calls=tuple(calls)) if calls and are_declared else None

    def is_incomplete(self, body: str) -> bool:
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

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with arguments in the order of the parameters."""
        parts = [
            (
                sequence(Literal(f"{one.name}="), schema(one.schema, lenient=not one.pattern)),
                one.required,
            )
            for one in parameters(tool)
        ]
        return sequence(Literal(f"{tool.name}("), ordered_list(parts, ", "), Literal(")"))


def _calls(reader: LiteralReader) -> list[Call]:
    is_list = reader.accept("[")
    calls: list[Call] = []
    while not (reader.accept("]") if is_list else False):
        reader.whitespace()
        if reader.position == len(reader.text):
            if is_list:
                raise InvalidLiteral("an unclosed list")
            return calls
        name = reader.identifier()
        reader.expect("(")
        calls.append(Call(name, reader.mapping(")", "=")))
        reader.accept(",")
    reader.whitespace()
    if reader.position < len(reader.text):
        raise InvalidLiteral("text after the list")
    return calls
