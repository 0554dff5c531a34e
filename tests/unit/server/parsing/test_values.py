"""What a text means under the schema of the parameter that it was written for."""

import pytest

from server.parsing.syntaxes.values import coerce, types_of

NUMBER_OR_NULL = {"anyOf": [{"type": "number"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("a", None, "a"),
        ("5", {}, "5"),
        ("5", {"type": "string"}, "5"),
        ("Null", {"type": "string"}, None),
        ("TRUE", {"type": "boolean"}, True),
        ("yes", {"type": "boolean"}, False),
        ("yes", {"type": ["boolean", "string"]}, "yes"),
        ("false", {"type": ["string", "boolean"]}, False),
        ("-3", {"type": "integer"}, -3),
        ("3.5", {"type": "integer"}, "3.5"),
        ("2.0", {"type": "number"}, 2),
        ("2.5e3", {"type": "number"}, 2500),
        ("2.5", NUMBER_OR_NULL, 2.5),
        ("null", NUMBER_OR_NULL, None),
        ("1e999", {"type": "number"}, "1e999"),
        ("nan", {"type": "number"}, "nan"),
        (40 * "9", {"type": "integer"}, 1e40),
        (400 * "9", {"type": "integer"}, 400 * "9"),
        ('["x"]', {"type": "array"}, ["x"]),
        ('{"x": 1}', {"type": "array"}, '{"x": 1}'),
        ('{"x": 1}', {"type": "object"}, {"x": 1}),
        ("{x}", {"type": "object"}, "{x}"),
        ("1", {"type": ["object", "integer"]}, 1),
        ("1", {"enum": [1, 2]}, 1),
        ("1", {"const": "1"}, "1"),
        ("[1]", {"$ref": "#/$defs/l", "$defs": {"l": {"type": "array"}}}, [1]),
        ("[1]", {"$ref": "#/$defs/none"}, "[1]"),
    ],
)
def test_a_text_becomes_a_value_of_the_declared_type(text, schema, value) -> None:
    found = coerce(text, schema)

    assert found == value
    assert type(found) is type(value)


def test_a_schema_that_refers_to_itself_has_an_end() -> None:
    schema = {"anyOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"$ref": "#/$defs/x"}}}

    assert types_of(schema) == frozenset()
