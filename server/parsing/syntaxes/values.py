"""Values that a model writes as plain text: what they mean is told by the tool's schema."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from runners.protocol.constraints import Constraint, Literal, Until
from server.parsing.jsontext import NotJSON, decode, sound
from server.parsing.writing import Parameter, choice, parameters, schema, sequence
from server.prompt.messages import Tool
from server.prompt.tools import type_names

_MOST_NESTED: Final = 8
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_NAMES: Final[Mapping[type, str]] = {
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
_LARGEST_WHOLE: Final = 1 << 53


class _Unfit(ValueError):
    """The text is no value of the type."""


def schemas(tools: Collection[Tool]) -> Mapping[str, Mapping[str, object]]:
    """Return the schemas of each tool's parameters, by its name."""
    return {tool.name: {one.name: one.schema for one in parameters(tool)} for tool in tools}


def coerce(text: str, declared: object) -> object:
    """Return the value that `text` stands for under a parameter's schema.

    `null` is null whatever the schema says. The types that are declared are tried from the most
    to the least particular; a text that fits none stays a text.
    """
    if text.strip().lower() == "null":
        return None
    types = types_of(declared)
    if types == {"boolean"}:
        return text.strip().lower() == "true"
    for name, reading in _READINGS.items():
        if name in types:
            try:
                return reading(text.strip())
            except (_Unfit, NotJSON):
                continue
    return text


def types_of(declared: object, definitions: object = None, depth: int = 0) -> frozenset[str]:
    """Return the types that a schema allows, those of its alternatives and references included."""
    if not isinstance(declared, Mapping) or depth > _MOST_NESTED:
        return frozenset()
    definitions = declared.get("$defs", declared.get("definitions", definitions))
    found = frozenset(type_names(declared)) or _types_of_values(declared)
    inner = [item for key in _ALTERNATIVES for item in _items(declared.get(key))]
    if isinstance(definitions, Mapping) and isinstance(declared.get("$ref"), str):
        inner.append(definitions.get(str(declared["$ref"]).rpartition("/")[2]))
    return found.union(*(types_of(item, definitions, depth + 1) for item in inner))


def _types_of_values(declared: Mapping[str, object]) -> frozenset[str]:
    values = [declared["const"]] if "const" in declared else _items(declared.get("enum"))
    return frozenset(_NAMES[type(value)] for value in values if type(value) in _NAMES)


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def written_value(parameter: Parameter, line: str, end: str) -> Constraint:
    """Return a parameter's value as it is written, with `line` and the mark `end` behind it.

    A text is free but for the mark; its length and its form cannot be held.
    """
    declared = parameter.schema
    texts = [declared["const"]] if "const" in declared else _items(declared.get("enum"))
    if texts and all(isinstance(text, str) for text in texts):
        return sequence(choice(Literal(str(text)) for text in texts), Literal(line + end))
    types = types_of(declared)
    if not types or "string" in types:
        return Until(end)
    return sequence(schema(declared), Literal(line + end))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _Unfit
    return text.lower() == "true"


def _integer(text: str) -> object:
    if _INTEGER.fullmatch(text) is None:
        raise _Unfit
    return sound(int(text))


def _number(text: str) -> object:
    if _NUMBER.fullmatch(text) is None:
        raise _Unfit
    if _INTEGER.fullmatch(text) is not None:
        return sound(int(text))
    value = sound(float(text))
    assert isinstance(value, float)
    return int(value) if value.is_integer() and abs(value) < _LARGEST_WHOLE else value


def _of(kind: type) -> Callable[[str], object]:
    def read(text: str) -> object:
        value = decode(text)
        if not isinstance(value, kind):
            raise _Unfit
        return value

    return read


_READINGS: Final[Mapping[str, Callable[[str], object]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _of(list),
    "object": _of(dict),
}
