"""Parameters of a tool from its JSON Schema, with the definitions that they refer to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from server.prompt.messages import Tool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool; `schema` includes the definitions that it refers to."""

    name: str
    schema: Mapping[str, object]
    required: bool


def parameters(tool: Tool) -> tuple[Parameter, ...]:
    """Return the parameters of a tool in order, with the definitions they refer to."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    required = tool.parameters.get("required")
    needed = required if isinstance(required, list | tuple) else ()
    shared = definitions(tool.parameters)
    return tuple(
        Parameter(str(name), _with_definitions(value, shared), name in needed)
        for name, value in properties.items()
    )


def _with_definitions(value: object, shared: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        return {}
    return {**shared, **value} if shared and '"$ref"' in json.dumps(value) else value


def definitions(value: Mapping[str, object]) -> Mapping[str, object]:
    """Return the definitions of a schema, which `$ref`s point to."""
    return {key: value[key] for key in ("$defs", "definitions") if key in value}
