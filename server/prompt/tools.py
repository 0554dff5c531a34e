"""Order the keywords of tool schemas as templates print them.

The keywords that the reference server knows come first, in its order, and then the others: a model
that does not see a bound or a constant cannot keep to it.
"""

from collections.abc import Mapping
from typing import Final

from server.prompt.messages import Tool

_MAX_DEPTH: Final = 32
_KNOWN: Final = ("$defs", "anyOf", "type", "items", "description", "enum", "properties", "required")
_ANNOTATIONS: Final = ("$schema", "$id", "$comment", "title")
"""Keywords that say nothing about values; programs write a title for each field."""


def tool_json(tool: Tool) -> dict[str, object]:
    """Return a tool as JSON for templates, with properties in the client's order."""
    items = {"items": tool.items} if tool.items is not None else {}
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters(tool.parameters),
    }
    return {"type": tool.type, **items, "function": function}


def parameters(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the keywords of a parameters schema, those that templates know in a fixed order."""
    result: dict[str, object] = {"type": _text(schema.get("type"))}
    for key in ("$defs", "items"):
        if schema.get(key) is not None:
            result[key] = schema[key]
    if required := _texts(schema.get("required")):
        result["required"] = required
    result["properties"] = properties(schema)
    return result | _others(schema, "description")


def properties(schema: Mapping[str, object], depth: int = 0) -> dict[str, dict[str, object]]:
    """Return the properties of `schema`, each with those keywords first that templates know."""
    members = schema.get("properties")
    if not isinstance(members, Mapping) or depth > _MAX_DEPTH:
        return {}
    return {str(name): _property(value, depth) for name, value in members.items()}


def _property(schema: object, depth: int) -> dict[str, object]:
    if not isinstance(schema, Mapping):
        return {}
    any_of = schema.get("anyOf")
    alternatives = any_of if isinstance(any_of, list | tuple) and depth < _MAX_DEPTH else ()
    types = type_names(schema)
    result: dict[str, object] = {
        "anyOf": [_property(item, depth + 1) for item in alternatives],
        "type": types[0] if len(types) == 1 else types,
        "items": schema.get("items"),
        "description": _text(schema.get("description")),
        "enum": _list(schema.get("enum")),
        "properties": properties(schema, depth + 1),
        "required": _texts(schema.get("required")),
    }
    known = {key: value for key, value in result.items() if value not in (None, "", [], {})}
    return known | _others(schema, "$defs")


def _others(schema: Mapping[str, object], *shown: str) -> dict[str, object]:
    """Return the keywords that templates do not know, and those in `shown`, as they are."""
    hidden = {*_KNOWN, *_ANNOTATIONS} - set(shown)
    return {key: value for key, value in schema.items() if key not in hidden and value is not None}


def type_names(schema: Mapping[str, object]) -> list[str]:
    """Return the type or types that `schema` allows."""
    names = schema.get("type")
    return [names] if isinstance(names, str) else _texts(names)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _texts(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]
