"""Tool calls as JSON objects whose only key is the name and its value the arguments (Apertus)."""

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import arguments, json_string, sequence
from server.parsing.json_decoding import InvalidJSON, decode, ends_in_string
from server.parsing.parser import Call, ParsedOutput
from server.prompt.messages import Tool


class NameKeyedCalls:
    """Parses and constrains such calls, one or a list."""

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the calls, which make up all of `body`."""
        try:
            value = decode(body)
        except InvalidJSON:
            return None
        calls: list[Call] = []
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict) or len(item) != 1:
                return None
            [(name, argument_values)] = item.items()
            if not name or not isinstance(argument_values, dict):
                return None
            calls.append(Call(name, argument_values))
        return ParsedOutput(calls=tuple(calls)) if calls else None

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a string is open."""
        return ends_in_string(body)

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call."""
        return sequence(Literal(f"{{{json_string(tool.name)}: "), arguments(tool), Literal("}"))
