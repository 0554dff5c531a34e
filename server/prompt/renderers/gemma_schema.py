"""Tool declarations in the syntax of Gemma 4."""

from collections.abc import Iterator, Mapping
from typing import Final

from server.prompt.messages import Tool
from server.prompt.renderers.gemma_values import names, quoted, value
from server.prompt.tools import parameters, type_names

QUOTE: Final = '<|"|>'
_SCHEMA_WORDS: Final = frozenset(
    "description type properties required nullable additionalProperties patternProperties "
    "propertyNames dependentSchemas const default not if then else $defs definitions".split()
)
"""Keywords that are no properties of an object whose schema lists none under `properties`."""


def declaration(tool: Tool) -> str:
    """Return a tool's declaration."""
    schema = parameters(tool.parameters)
    fields = [f"description:{quoted(tool.description, QUOTE)}"]
    if schema["properties"] or schema["type"]:
        fields.append("parameters:{" + ",".join(_parameters(schema)) + "}")
    return f"<|tool>declaration:{tool.name}{{{','.join(fields)}}}<tool|>"


def _parameters(schema: Mapping[str, object]) -> Iterator[str]:
    if schema["properties"]:
        yield _properties(schema["properties"])
    yield from _required(schema)
    if schema["type"]:
        yield f"type:{quoted(str(schema['type']).upper(), QUOTE)}"


def _properties(schemas: object) -> str:
    """Return the properties of a schema.

    The family's own template omits properties whose names are JSON Schema keywords, such as
    "description", so that the model could not set them; they are kept here.
    """
    properties = sorted(schemas.items()) if isinstance(schemas, Mapping) else []
    described = (
        f"{name}:{{{','.join(_property(schema))}}}"
        for name, schema in properties
        if isinstance(schema, Mapping)
    )
    return f"properties:{{{','.join(described)}}}"


def _property(schema: Mapping[str, object]) -> Iterator[str]:
    type_name = _type_name(schema)
    if description := schema.get("description"):
        yield f"description:{quoted(str(description), QUOTE)}"
    if type_name == "STRING" and schema.get("enum"):
        yield f"enum:{value(schema['enum'], QUOTE)}"
    items = schema.get("items")
    if type_name == "ARRAY" and items and isinstance(items, Mapping):
        yield f"items:{{{','.join(_items(items))}}}"
    if schema.get("nullable") is True:
        yield "nullable:true"
    if type_name == "OBJECT":
        inner = {key: item for key, item in schema.items() if key not in _SCHEMA_WORDS}
        yield _properties(schema.get("properties", inner))
        yield from _required(schema)
    if type_name:
        yield f"type:{quoted(type_name, QUOTE)}"


def _items(schema: Mapping[str, object]) -> Iterator[str]:
    for key, item in sorted(schema.items()):
        if key == "properties":
            yield _properties(item)
        elif key == "required" and isinstance(item, list):
            yield f"required:{names(item, QUOTE)}"
        elif key == "type" and (types := type_names(schema)):
            upper = [name.upper() for name in types]
            yield f"type:{value(upper[0] if len(upper) == 1 else upper, QUOTE)}"
        elif item is not None:
            yield f"{key}:{value(item, QUOTE, quote_keys=True)}"


def _required(schema: Mapping[str, object]) -> Iterator[str]:
    required = schema.get("required")
    if required and isinstance(required, list):
        yield f"required:{names(required, QUOTE)}"


def _type_name(schema: Mapping[str, object]) -> str:
    """Return the type in upper case; several print as a list, as in the family's template."""
    types = [name.upper() for name in type_names(schema) or _types_of_union(schema)]
    return types[0] if len(types) == 1 else str(types) if types else ""


def _types_of_union(schema: Mapping[str, object]) -> list[str]:
    """Return the types of an `anyOf` whose branches have nothing but types."""
    branches = schema.get("anyOf")
    types: list[str] = []
    for branch in branches if isinstance(branches, list) else ():
        if not isinstance(branch, Mapping) or set(branch) != {"type"}:
            return []
        types += type_names(branch)
    return list(dict.fromkeys(types))
