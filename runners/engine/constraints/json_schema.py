"""JSON Schema preparation: checks and limits on a client's schema, before it becomes a grammar.

Two interpretations differ from the standard, as clients of the reference server expect: an object
that lists its properties has no others, and an integer has at most sixteen digits.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

MAX_BYTES = 256 * 1024
MAX_DEPTH = 100
MAX_ALTERNATIVES = 300
"""Schemas that may describe one value: what a step costs grows with their square, and compiling
with their cube."""
MAX_MULTIPLE = 10_000
"""An automaton that checks multiples of n has n states."""
LARGEST_INTEGER = 10**16 - 1
"""As in the reference server: without a bound a weak model writes digits until its limit."""

_FORMATS = frozenset(
    "date date-time duration email hostname ipv4 ipv6 time unknown uri uuid".split()
)

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_IN_PLACE = ("allOf", "anyOf", "oneOf")
_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_LISTS = ("prefixItems", "items")
_SINGLES = ("items", "additionalProperties", "additionalItems", "contains", "not", "propertyNames")

_JSON = dict[str, Any]


class BadSchema(ValueError):
    """The schema cannot be used; the message is a sentence for the client."""


def prepare(text: str) -> _JSON:
    """Return the schema in `text`, checked, with listed objects closed and integers bounded.

    Raises BadSchema. The empty schema and `true` mean any object, as with `"format": "json"`.
    """
    if len(text) > MAX_BYTES:
        raise BadSchema(f"the schema is larger than {MAX_BYTES // 1024} KiB")
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as e:
        raise BadSchema("the schema is not valid JSON") from e
    if schema is True or schema == {}:
        return {"type": "object"}
    if not isinstance(schema, dict):
        raise BadSchema("the schema must be a JSON object")
    _check(schema)
    _tighten(schema)
    if not str(schema.get("$schema", "")).partition("://")[2].startswith("json-schema.org/"):
        schema.pop("$schema", None)
    return schema


def plain(text: str) -> str:
    """Return the schema in `text` reduced to what always compiles: types, fields, fixed values."""
    return msgspec.json.encode(_plain(msgspec.json.decode(text), MAX_DEPTH)).decode()


def _plain(schema: Any, depth: int) -> _JSON:
    if not isinstance(schema, dict) or not depth:
        return {}
    result: _JSON = {}
    if schema.get("type") in _TYPES:
        result["type"] = schema["type"]
    if isinstance(values := schema.get("enum"), list) and values:
        result["enum"] = values
    if "const" in schema:
        result["const"] = schema["const"]
    if isinstance(fields := schema.get("properties"), dict):
        result["properties"] = {name: _plain(field, depth - 1) for name, field in fields.items()}
        required = schema.get("required")
        result["required"] = (
            [n for n in required if n in fields] if isinstance(required, list) else []
        )
    if isinstance(schema.get("items"), dict):
        result["items"] = _plain(schema["items"], depth - 1)
    return result


def _check(root: _JSON) -> None:
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        for value in level:
            if isinstance(value, dict):
                _check_multiple(value.get("multipleOf"))
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise BadSchema(f"the schema is nested more than {MAX_DEPTH} levels deep")


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_multiple(multiple: Any) -> None:
    if not isinstance(multiple, int | float):
        return
    digits = Decimal(str(multiple)).normalize().as_tuple().digits
    if int("".join(map(str, digits))) > MAX_MULTIPLE or abs(multiple) > MAX_MULTIPLE:
        raise BadSchema(f'"multipleOf" must be at most {MAX_MULTIPLE}, without its decimal point')


def _tighten(root: _JSON) -> None:
    """Bound integers, and set `additionalProperties` to false where properties are listed.

    Where several schemas describe one object together (`allOf`, or a reference beside properties)
    each must allow the properties of the others, so those stay open.
    """
    schemas: dict[int, _JSON] = {}
    open_ids: set[int] = set()
    pending = [(root, False)]
    while pending:
        schema, is_part = pending.pop()
        if id(schema) in schemas and (not is_part or id(schema) in open_ids):
            continue
        schemas[id(schema)] = schema
        is_part = is_part or _is_composed(schema)
        if is_part:
            open_ids.add(id(schema))
        pending += [(part, is_part) for part in _parts(root, schema)]
        pending += [(inner, False) for inner in _inner(schema)]
    _check_alternatives(root, schemas.values())
    for schema in schemas.values():
        if id(schema) not in open_ids and _lists_all(schema):
            schema["additionalProperties"] = False
        if _is_integer(schema):
            _bound(schema)
        _drop_annotations(schema)


def _check_alternatives(root: _JSON, schemas: Iterable[_JSON]) -> None:
    """Raise BadSchema if too many schemas describe one value, through `anyOf` and references."""
    seen: set[int] = set()
    for schema in schemas:
        together = {id(schema)} - seen
        pending = [schema] if together else []
        while pending:
            new = [part for part in _parts(root, pending.pop()) if id(part) not in together]
            together.update(map(id, new))
            pending += new
            if len(together) > MAX_ALTERNATIVES + 1:
                raise BadSchema(
                    f"more than {MAX_ALTERNATIVES} alternatives of the schema describe one value"
                )
        # What describes a part of them is no more.
        seen |= together


def _drop_annotations(schema: _JSON) -> None:
    """Drop keywords that cannot be enforced but are harmless: unknown formats and `uniqueItems`.

    An unknown format is an annotation. Programs generate `uniqueItems` for sets, which they build
    equally well from an answer with repeated items.
    """
    if schema.get("format") not in _FORMATS:
        schema.pop("format", None)
    schema.pop("uniqueItems", None)


def _is_integer(schema: _JSON) -> bool:
    """Whether the values are integers that are not enumerated."""
    types = schema.get("type")
    allowed = types if isinstance(types, list) else [types]
    return "integer" in allowed and "number" not in allowed and not {"enum", "const"} & set(schema)


def _bound(schema: _JSON) -> None:
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    highest = schema.get("maximum", schema.get("exclusiveMaximum"))
    if highest is None and (lowest is None or _is_below(lowest, LARGEST_INTEGER)):
        schema["maximum"] = LARGEST_INTEGER
    if lowest is None and (highest is None or _is_below(-LARGEST_INTEGER, highest)):
        schema["minimum"] = -LARGEST_INTEGER


def _is_below(lower: Any, upper: Any) -> bool:
    return isinstance(lower, int | float) and isinstance(upper, int | float) and lower < upper


def _is_composed(schema: _JSON) -> bool:
    """Whether more than one schema describes the value."""
    all_of = schema.get("allOf")
    describing = sum(key in schema for key in ("properties", "$ref", *_IN_PLACE))
    return describing > 1 or (isinstance(all_of, list) and len(all_of) > 1)


def _lists_all(schema: _JSON) -> bool:
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    if "additionalProperties" in schema or "patternProperties" in schema:
        return False
    return all(name in properties for name in required if isinstance(name, str))


def _parts(root: _JSON, schema: _JSON) -> Iterator[_JSON]:
    """Yield the schemas that describe the same value as `schema`."""
    for key in _IN_PLACE:
        yield from _objects(schema.get(key))
    target = _resolve(root, schema.get("$ref"))
    if target is not None:
        yield target


def _inner(schema: _JSON) -> Iterator[_JSON]:
    """Yield the schemas of the values inside, and definitions."""
    for key in _MAPS:
        if isinstance(members := schema.get(key), dict):
            yield from _objects(list(members.values()))
    for key in _LISTS:
        yield from _objects(schema.get(key))
    for key in _SINGLES:
        yield from _objects([schema.get(key)])


def _objects(values: Any) -> Iterator[_JSON]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, dict))


def _resolve(root: _JSON, reference: Any) -> _JSON | None:
    """Return the schema that a reference within the document points to, if it is one."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    target: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, dict) else None
    return target if isinstance(target, dict) else None
