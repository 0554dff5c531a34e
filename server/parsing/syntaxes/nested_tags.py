"""Tool calls whose arguments are XML elements, nested for objects and lists (MiniMax M3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Repeat
from server.parsing.grammar_builder import optional, sequence
from server.parsing.parser import Call, ParsedOutput
from server.parsing.syntaxes.values import coerce, parameter_schemas, types_of, value_constraint
from server.parsing.tool_parameters import Parameter, parameters
from server.prompt.messages import Tool

_NAME_END: Final = '">'
_ITEM: Final = "item"
"""The name of an element of a list."""
_MAX_DEPTH: Final = 32
_MAX_CONSTRAINED_DEPTH: Final = 4
"""Deeper values are constrained as JSON, which is read too."""
_EMPTY: Final[Mapping[str, type]] = {"array": list, "object": dict}


class _NoCall(ValueError):
    """The text is not a call."""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element with its text and the elements in it."""

    name: str
    schema: Mapping[str, object]
    texts: list[str] = field(default_factory=list)
    children: list[tuple[str, object]] = field(default_factory=list)

    def value(self) -> object:
        """Return a list of items, an object, or the text by its type; raises _NoCall."""
        text = "".join(self.texts)
        if not self.children:
            types = types_of(self.schema)
            if not text.strip() and len(types) == 1 and (kind := _EMPTY.get(*types)) is not None:
                return kind()
            return coerce(text, self.schema)
        if text.strip():
            raise _NoCall
        names = [name for name, _ in self.children]
        if set(names) == {_ITEM} and "object" not in types_of(self.schema):
            return [value for _, value in self.children]
        if len(set(names)) < len(names):
            raise _NoCall
        return dict(self.children)


class NestedTags:
    """Parses and constrains such calls, from the name on; `mark` stands before every tag."""

    def __init__(self, mark: str, tools: Collection[Tool]) -> None:
        self._mark = mark
        self._schemas = parameter_schemas(tools)

    def parse(self, body: str, *, closed: bool) -> ParsedOutput | None:
        """Return the call; one that is not closed is text."""
        name, end, rest = body.partition(_NAME_END)
        if not closed or not end or not name.strip():
            return None
        try:
            arguments = self._arguments(rest, self._schemas.get(name.strip(), {}))
        except _NoCall:
            return None
        return ParsedOutput(calls=(Call(name.strip(), arguments),))

    def is_incomplete(self, body: str) -> bool:
        """Tell whether an element is open."""
        n_closed = body.count(f"{self._mark}</")
        return body.count(f"{self._mark}<") > 2 * n_closed

    def constraint(self, tool: Tool) -> Constraint:
        """Return the constraint on one call, with the parameters in order."""
        parts: list[Constraint] = [Literal(tool.name + _NAME_END)]
        for parameter in parameters(tool):
            one = self._constraint(parameter, 1)
            parts.append(one if parameter.required else optional(one))
        return sequence(*parts)

    def _arguments(self, text: str, schemas: Mapping[str, object]) -> Mapping[str, object]:
        before, *pieces = text.split(self._mark)
        if before.strip():
            raise _NoCall
        root = _Element("", {"type": "object", "properties": schemas})
        open_elements = [root]
        for piece in pieces:
            tag, end, after = piece.partition(">")
            if not end or not tag.startswith("<") or len(open_elements) > _MAX_DEPTH:
                raise _NoCall
            if tag.startswith("</"):
                self._close(open_elements, tag[2:])
            else:
                parent = open_elements[-1].schema
                open_elements.append(_Element(tag[1:], _schema_in(parent, tag[1:])))
            open_elements[-1].texts.append(after)
        if len(open_elements) > 1:
            raise _NoCall
        value = root.value() if root.children else {}
        if not isinstance(value, dict):
            raise _NoCall
        return value

    @staticmethod
    def _close(open_elements: list[_Element], name: str) -> None:
        element = open_elements.pop()
        if element.name != name or not open_elements:
            raise _NoCall
        open_elements[-1].children.append((name, element.value()))

    def _constraint(self, parameter: Parameter, depth: int) -> Constraint:
        opening, closing = (f"{self._mark}<{slash}{parameter.name}>" for slash in ("", "/"))
        return sequence(Literal(opening), self._value(parameter, closing, depth))

    def _value(self, parameter: Parameter, closing: str, depth: int) -> Constraint:
        declared, types = parameter.schema, types_of(parameter.schema)
        items, properties = declared.get("items"), declared.get("properties")
        if depth < _MAX_CONSTRAINED_DEPTH and types == {"array"} and isinstance(items, Mapping):
            item = Parameter(_ITEM, _schema_in(declared, _ITEM), required=True)
            return sequence(Repeat(self._constraint(item, depth + 1)), Literal(closing))
        if (
            depth < _MAX_CONSTRAINED_DEPTH
            and types == {"object"}
            and isinstance(properties, Mapping)
        ):
            parts = (self._member(declared, str(name), depth + 1) for name in properties)
            return sequence(*parts, Literal(closing))
        return value_constraint(parameter, "", closing)

    def _member(self, declared: Mapping[str, object], name: str, depth: int) -> Constraint:
        one = self._constraint(Parameter(name, _schema_in(declared, name), required=True), depth)
        required = declared.get("required")
        return one if isinstance(required, list) and name in required else optional(one)


def _schema_in(declared: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the schema of an element in one with the schema `declared`, with its definitions."""
    definitions = declared.get("$defs", declared.get("definitions"))
    shared = {"$defs": definitions} if isinstance(definitions, Mapping) else {}
    declared = _resolved(declared, shared.get("$defs", {}))
    properties = declared.get("properties")
    inner = properties.get(name) if isinstance(properties, Mapping) else None
    if inner is None:
        inner = declared.get("items" if name == _ITEM else "additionalProperties")
    return {**shared, **inner} if isinstance(inner, Mapping) else {}


def _resolved(
    declared: Mapping[str, object], definitions: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the schema that a reference leads to, or the schema itself."""
    reference = declared.get("$ref")
    found = definitions.get(str(reference).rpartition("/")[2]) if reference else None
    return found if isinstance(found, Mapping) else declared
