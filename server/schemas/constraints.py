"""Parse output formats of requests: JSON, JSON Schema and grammars."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from runners.protocol.constraints import GBNF, Constraint, JSONSchema, Lark, Regex
from server.errors import BadRequest

GRAMMARS: Final[Mapping[str, Callable[[str], Constraint]]] = {
    "regex": Regex,
    "lark": Lark,
    "gbnf": GBNF,
}
"""Kinds of grammars by the field that carries their text."""
_MAX_SHOWN: Final = 1000
"""Characters of a wrong format in the error."""


def any_json_object() -> JSONSchema:
    """Return the constraint that an answer is a JSON object."""
    return JSONSchema('{"type":"object"}')


def json_schema(schema: Mapping[str, object]) -> JSONSchema:
    """Return the constraint that an answer satisfies `schema`."""
    return JSONSchema(json.dumps(schema, ensure_ascii=False))


def constraint_of(format: object) -> Constraint | None:
    """Return the constraint of the native API's `format` field; None when it is absent or empty.

    Beyond "json" and JSON Schemas it may be an object with a single key `regex`, `lark` or `gbnf`.

    Raises:
        BadRequest: it is none of these.
    """
    if format is None or format == "":
        return None
    if format in ("json", {}):
        return any_json_object()
    if isinstance(format, dict):
        kind, value = next(iter(format.items()))
        if len(format) == 1 and kind in GRAMMARS and isinstance(value, str):
            return GRAMMARS[kind](value)
        return json_schema(format)
    if isinstance(format, str):
        format = format[:_MAX_SHOWN]
    raw = json.dumps(json.dumps(format, ensure_ascii=False), ensure_ascii=False)
    raise BadRequest(
        f'invalid format: {raw[:_MAX_SHOWN]}; expected "json" or a valid JSON Schema object'
    )
