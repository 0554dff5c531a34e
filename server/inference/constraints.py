"""Constraints on answers: JSON, JSON Schema and grammars."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from runners.protocol.constraints import GBNF, Constraint, JSONSchema, Lark, Regex

GRAMMARS: Final[Mapping[str, Callable[[str], Constraint]]] = {
    "regex": Regex,
    "lark": Lark,
    "gbnf": GBNF,
}
"""Kinds of grammars by the field that carries their text."""


def any_json_object() -> JSONSchema:
    """Return the constraint that an answer is a JSON object."""
    return JSONSchema('{"type":"object"}')


def json_schema(schema: Mapping[str, object]) -> JSONSchema:
    """Return the constraint that an answer satisfies `schema`."""
    return JSONSchema(json.dumps(schema, ensure_ascii=False))
