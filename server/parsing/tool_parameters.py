"""Parameters of a tool from its JSON Schema, with the definitions that they refer to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool; `schema` includes the definitions that it refers to.

    `pattern` is a regular expression that a text matches as a whole, "" for none.
    """

    name: str
    schema: Mapping[str, object]
    required: bool
    pattern: str = ""


def parameters(tool: Tool) -> tuple[Parameter, ...]:
    """Return the parameters of a tool in order, with the definitions they refer to."""
    schema = tool.argument_schema
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    required = schema.get("required")
    needed = required if isinstance(required, list | tuple) else ()
    shared = definitions(schema)
    return tuple(
        Parameter(
            str(name),
            _with_definitions(value, shared),
            name in needed,
            "" if tool.enforced is None else _whole_pattern(value),
        )
        for name, value in properties.items()
    )


def _whole_pattern(value: object) -> str:
    """Return the pattern of a schema, if it describes whole texts, without its anchors."""
    pattern = value.get("pattern") if isinstance(value, Mapping) else None
    if not isinstance(pattern, str) or not (pattern.startswith("^") and pattern.endswith("$")):
        return ""
    return pattern[1:-1]


def _with_definitions(value: object, shared: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        return {}
    return {**shared, **value} if shared and '"$ref"' in json.dumps(value) else value


def definitions(value: Mapping[str, object]) -> Mapping[str, object]:
    """Return the definitions of a schema, which `$ref`s point to."""
    return {key: value[key] for key in ("$defs", "definitions") if key in value}
