"""Tool calls as a name followed by a JSON object of arguments (Mistral, DeepSeek, Kimi)."""

from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.grammar_builder import NO_TEXT, arguments, sequence
from server.parsing.json_decoding import InvalidJSON, decode_json_object, ends_in_string
from server.parsing.parser import Call, ParsedOutput
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJSON:
    """Parses and constrains such calls: text `before` the name, `between` and `after`.

    Text from `label` on is not part of the name; `labelled` is the constraint on that text. Text up
    to `head` is not either, if there is one; `headed` is the constraint on that. With `declared`,
    other names are not calls.
    """

    between: str
    before: str = ""
    after: str = ""
    label: str = ""
    labelled: Constraint = NO_TEXT
    head: str = ""
    headed: Constraint = NO_TEXT
    declared: frozenset[str] | None = None

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the call."""
        text = body.strip()
        prefix, suffix = self.before.strip(), self.after.strip()
        if not (text.startswith(prefix) and text.endswith(suffix)):
            return None
        name, between, rest = text[len(prefix) :].partition(self.between)
        name = (name.partition(self.label)[0] if self.label else name).strip()
        name = name.rpartition(self.head)[2].strip() if self.head else name
        if not between or not name or (self.declared is not None and name not in self.declared):
            return None
        try:
            arguments_object = decode_json_object(rest.removesuffix(suffix).strip() or "{}")
        except InvalidJSON:
            return None
        return ParsedOutput(calls=(Call(name, arguments_object),))

    def is_incomplete(self, body: str) -> bool:
        """Tell whether a string of the arguments is open."""
        return ends_in_string(body.partition(self.between)[2])

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call."""
        return sequence(
            Literal(self.before),
            self.headed,
            Literal(f"{self.head}{tool.name}"),
            self.labelled,
            Literal(self.between),
            arguments(tool),
            Literal(self.after),
        )
