"""Convert argument values written as plain text by the types in the tool's schema."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Until
from server.parsing.grammar_builder import choice, schema, sequence
from server.parsing.json_decoding import InvalidJSON, decode, normalise_json
from server.parsing.tool_parameters import Parameter, parameters
from server.prompt.messages import Tool
from server.prompt.tools import type_names

_MAX_DEPTH: Final = 8
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_TYPE_NAMES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    str: "string",
    type(None): "null",
}
_INTEGER: Final = re.compile(r"[+-]?\d{1,300}")
_NUMBER: Final = re.compile(r"[+-]?(\d{1,300}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_MAX_SAFE_INTEGER: Final = 1 << 53


class _WrongType(ValueError):
    """The text is not a value of the type."""


def parameter_schemas(tools: Collection[Tool]) -> Mapping[str, Mapping[str, object]]:
    """Return the schemas of the parameters of each tool, by its name."""
    return {tool.name: {one.name: one.schema for one in parameters(tool)} for tool in tools}


def coerce(text: str, declared: object) -> object:
    """Return the value of `text` under a parameter's schema.

    `null` is null whatever the schema says. Declared types are tried from the most to the least
    specific; text that matches none stays a string.
    """
    if text.strip().lower() == "null":
        return None
    types = types_of(declared)
    if types == {"boolean"}:
        return text.strip().lower() == "true"
    for name, convert in _CONVERTERS.items():
        if name in types:
            try:
                return convert(text.strip())
            except (_WrongType, InvalidJSON):
                continue
    return text


def types_of(declared: object, definitions: object = None, depth: int = 0) -> frozenset[str]:
    """Return the types that a schema allows, including its alternatives and references."""
    if not isinstance(declared, Mapping) or depth > _MAX_DEPTH:
        return frozenset()
    definitions = declared.get("$defs", declared.get("definitions", definitions))
    types = frozenset(type_names(declared)) or _types_of_values(declared)
    inner = [item for key in _ALTERNATIVES for item in _items(declared.get(key))]
    if isinstance(definitions, Mapping) and isinstance(declared.get("$ref"), str):
        inner.append(definitions.get(str(declared["$ref"]).rpartition("/")[2]))
    return types.union(*(types_of(item, definitions, depth + 1) for item in inner))


def _types_of_values(declared: Mapping[str, object]) -> frozenset[str]:
    values = [declared["const"]] if "const" in declared else _items(declared.get("enum"))
    return frozenset(_TYPE_NAMES[type(value)] for value in values if type(value) in _TYPE_NAMES)


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def value_constraint(parameter: Parameter, separator: str, end: str) -> Constraint:
    """Return the constraint on a parameter's value, followed by `separator` and `end`.

    A string is any text without `end`, or one that matches the pattern of a freeform tool; lengths
    and other patterns are not enforced.
    """
    declared = parameter.schema
    if parameter.pattern:
        return Until(separator + end, parameter.pattern)
    texts = [declared["const"]] if "const" in declared else _items(declared.get("enum"))
    if texts and all(isinstance(text, str) for text in texts):
        return sequence(choice(Literal(str(text)) for text in texts), Literal(separator + end))
    types = types_of(declared)
    if not types or "string" in types:
        return Until(end)
    return sequence(schema(declared), Literal(separator + end))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _WrongType
    return text.lower() == "true"


def _integer(text: str) -> object:
    if _INTEGER.fullmatch(text) is None:
        raise _WrongType
    return normalise_json(int(text))


def _number(text: str) -> object:
    if _NUMBER.fullmatch(text) is None:
        raise _WrongType
    if _INTEGER.fullmatch(text) is not None:
        return normalise_json(int(text))
    value = normalise_json(float(text))
    assert isinstance(value, float)
    return int(value) if value.is_integer() and abs(value) < _MAX_SAFE_INTEGER else value


def _json_of_type(expected: type) -> Callable[[str], object]:
    def convert(text: str) -> object:
        value = decode(text)
        if not isinstance(value, expected):
            raise _WrongType
        return value

    return convert


_CONVERTERS: Final[Mapping[str, Callable[[str], object]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _json_of_type(list),
    "object": _json_of_type(dict),
}
