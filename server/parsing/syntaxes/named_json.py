"""Calls as a name and, behind it, the JSON object of the arguments."""

from dataclasses import dataclass

from runners.protocol.constraints import Constraint, Literal
from server.parsing.jsontext import NotJSON, decode_object, ends_in_string
from server.parsing.parser import Call, Parsed
from server.parsing.writing import arguments, sequence
from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJSON:
    """The texts that stand `before` the name, `between` it and the arguments, and `after` them.

    What follows `label` behind the name means nothing. With `declared`, other names are no calls.
    """

    between: str
    before: str = ""
    after: str = ""
    label: str = ""
    declared: frozenset[str] | None = None

    def read(self, body: str, *, closed: bool) -> Parsed | None:
        """Return the call."""
        text = body.strip()
        head, tail = self.before.strip(), self.after.strip()
        if not (text.startswith(head) and text.endswith(tail)):
            return None
        name, between, rest = text[len(head) :].partition(self.between)
        name = (name.partition(self.label)[0] if self.label else name).strip()
        if not between or not name or (self.declared is not None and name not in self.declared):
            return None
        try:
            found = decode_object(rest.removesuffix(tail).strip() or "{}")
        except NotJSON:
            return None
        return Parsed(calls=(Call(name, found),))

    def unfinished(self, body: str) -> bool:
        """Tell whether a string of the arguments is open."""
        return ends_in_string(body.partition(self.between)[2])

    def written(self, tool: Tool) -> Constraint:
        """Return one call."""
        start = f"{self.before}{tool.name}{self.between}"
        return sequence(Literal(start), arguments(tool), Literal(self.after))
