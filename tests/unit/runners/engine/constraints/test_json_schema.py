"""A schema means what clients of Ollama expect; a hostile one is refused before it costs time."""

import json

import pytest

from runners.engine.constraints.json_schema import (
    LARGEST_INTEGER,
    MAX_ALTERNATIVES,
    MAX_BYTES,
    MAX_DEPTH,
    BadSchema,
    prepare,
)

LISTED = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED = LISTED | {"additionalProperties": False}


def prepared(schema: object) -> dict[str, object]:
    return prepare(json.dumps(schema))


@pytest.mark.parametrize("schema", [{}, True])
def test_an_empty_schema_means_any_object(schema: object) -> None:
    assert prepared(schema) == {"type": "object"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (LISTED, CLOSED),
        ({"type": "array", "items": LISTED}, {"type": "array", "items": CLOSED}),
        ({"type": "array", "items": [LISTED]}, {"type": "array", "items": [CLOSED]}),
        ({"anyOf": [LISTED, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        (
            {"$ref": "#/$defs/x~1y", "$defs": {"x/y": LISTED}},
            {"$ref": "#/$defs/x~1y", "$defs": {"x/y": CLOSED}},
        ),
        (
            {"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": LISTED}},
            {"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": CLOSED}},
        ),
    ],
    ids=["root", "items", "tuple", "alternative", "reference", "wrapped reference"],
)
def test_an_object_that_lists_its_properties_has_no_others(
    schema: object, expected: object
) -> None:
    """Otherwise a weak model goes on inventing properties after those that were asked for."""
    assert prepared(schema) == expected


@pytest.mark.parametrize(
    ("schema", "added"),
    [
        ({"type": "integer"}, {"minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}),
        ({"type": ["integer", "null"], "minimum": 0}, {"maximum": LARGEST_INTEGER}),
        ({"type": "integer", "exclusiveMaximum": 5}, {"minimum": -LARGEST_INTEGER}),
        ({"type": "integer", "minimum": 10**17}, {}),
        ({"type": "integer", "maximum": -(10**17)}, {}),
        ({"type": "integer", "minimum": "0"}, {}),
        ({"type": "integer", "enum": [10**20]}, {}),
        ({"type": ["integer", "number"]}, {}),
        ({"type": "number"}, {}),
    ],
)
def test_an_integer_ends_somewhere(schema: dict[str, object], added: dict[str, object]) -> None:
    """A weak model writes digits until its budget is used up, and the answer is no JSON."""
    assert prepared(schema) == schema | added


@pytest.mark.parametrize(
    "schema",
    [
        LISTED | {"additionalProperties": True},
        LISTED | {"patternProperties": {"^x": {}}},
        LISTED | {"required": ["a", "unlisted"]},
        {"allOf": [LISTED, LISTED]},
        {"properties": {}, "anyOf": [LISTED]},
        {"allOf": [{"$ref": "#/$defs/x"}, LISTED], "$defs": {"x": LISTED}},
        {"const": LISTED},
    ],
    ids=["open", "patterns", "unlisted", "allOf", "beside", "referenced by allOf", "no schema"],
)
def test_an_object_that_is_described_elsewhere_too_stays_open(schema: object) -> None:
    assert prepared(schema) == schema


def test_a_recursive_schema_is_read_once() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert prepared(node) == node | {"additionalProperties": False}


def test_an_unknown_dialect_is_read_as_the_current_one() -> None:
    known = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}
    assert prepared(known) == known
    assert prepared({"$schema": "urn:mine", "type": "string"}) == {"type": "string"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the schema is not valid JSON"),
        ("[1]", "the schema must be a JSON object"),
        ("false", "the schema must be a JSON object"),
        (" " * MAX_BYTES + "{}", "the schema is larger than 256 KiB"),
        ('{"items":' * 200 + "{}" + "}" * 200, "nested more than 100 levels"),
        ('{"items":' * 100_000 + "{}" + "}" * 100_000, "larger"),
        ('{"not":' * 20_000 + "{}" + "}" * 20_000, "not valid JSON|nested"),
        ('{"type":"integer","multipleOf":99999999}', '"multipleOf"'),
        ('{"type":"number","multipleOf":1.23456789}', '"multipleOf"'),
        ('{"type":"number","multipleOf":1e300}', '"multipleOf"'),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(BadSchema, match=message):
        prepare(text)


def test_a_property_may_be_called_multiple_of() -> None:
    schema = {"type": "object", "properties": {"multipleOf": {"type": "string"}}}
    assert prepared(schema) == schema | {"additionalProperties": False}


def test_the_deepest_schema_that_is_allowed_is_read() -> None:
    schema: dict[str, object] = {}
    for _ in range(MAX_DEPTH - 1):
        schema = {"items": schema}
    assert prepared(schema) == schema


def test_alternatives_of_one_value_are_bounded_through_references_too() -> None:
    """Arrays of themselves with 3000 alternatives took 97 seconds to compile."""

    def recursive(n: int) -> str:
        arrays = [{"type": "array", "items": {"$ref": "#/$defs/s"}} for _ in range(n)]
        half = {"anyOf": arrays[: n // 2]}
        other = {"anyOf": [{"$ref": "#/$defs/half"}, *arrays[n // 2 :]]}
        return json.dumps({"$defs": {"half": half, "s": other}, "$ref": "#/$defs/s"})

    prepare(recursive(MAX_ALTERNATIVES - 4))
    with pytest.raises(BadSchema, match=f"more than {MAX_ALTERNATIVES} alternatives"):
        prepare(recursive(MAX_ALTERNATIVES + 1))


def test_many_properties_with_few_alternatives_each_are_not_added_up() -> None:
    field = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    prepare(json.dumps({"properties": {f"p{n}": field for n in range(MAX_ALTERNATIVES)}}))
