"""A tool's schema is shown in the order that templates know, whatever the client wrote."""

import pytest

from server.prompt.messages import Tool
from server.prompt.tools import tool_json, type_names


def parameters(schema: dict[str, object]) -> object:
    function = tool_json(Tool("function", "f", "d", schema))["function"]
    assert isinstance(function, dict)
    return function["parameters"]


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({}, {"type": "", "properties": {}}),
        (
            {"type": "object", "title": "T", "additionalProperties": False, "required": []},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
        (
            {"$defs": {"x": {"default": 1}}, "items": {"title": "kept"}},
            {
                "type": "",
                "$defs": {"x": {"default": 1}},
                "items": {"title": "kept"},
                "properties": {},
            },
        ),
        (
            {"properties": {"b": {"type": "string", "format": "date"}, "a": {"minimum": 1}}},
            {
                "type": "",
                "properties": {"b": {"type": "string", "format": "date"}, "a": {"minimum": 1}},
            },
        ),
        (
            {"properties": {"a": {"type": ["string"], "enum": [1, "x"], "description": "d"}}},
            {
                "type": "",
                "properties": {"a": {"type": "string", "description": "d", "enum": [1, "x"]}},
            },
        ),
        (
            {"properties": {"a": {"anyOf": [{"type": "null", "title": "t"}, {"oneOf": []}]}}},
            {"type": "", "properties": {"a": {"anyOf": [{"type": "null"}, {"oneOf": []}]}}},
        ),
        (
            {"properties": {"a": {"properties": {"b": {"type": "string", "title": "t"}}}}},
            {"type": "", "properties": {"a": {"properties": {"b": {"type": "string"}}}}},
        ),
        (
            {"type": 1, "required": [1, "a"], "properties": {"a": "text", "b": {"enum": "x"}}},
            {"type": "", "required": ["a"], "properties": {"a": {}, "b": {}}},
        ),
        ({"properties": ["a"], "required": "a"}, {"type": "", "properties": {}}),
        (
            {"oneOf": [{"required": ["a"]}], "properties": {"a": {"const": 0, "default": 0}}},
            {
                "type": "",
                "properties": {"a": {"const": 0, "default": 0}},
                "oneOf": [{"required": ["a"]}],
            },
        ),
        (
            {"$schema": "s", "properties": {"a": {"$ref": "#/$defs/x", "title": "A"}}, "$defs": {}},
            {"type": "", "$defs": {}, "properties": {"a": {"$ref": "#/$defs/x"}}},
        ),
    ],
    ids=[
        "empty",
        "unknown keywords",
        "verbatim parts",
        "properties",
        "keywords of a property",
        "alternatives",
        "nested properties",
        "wrong types",
        "wrong containers",
        "constants",
        "annotations",
    ],
)
def test_a_schema_is_shown_in_the_order_of_templates(
    schema: dict[str, object], kept: dict[str, object]
) -> None:
    """Properties stay in the client's order: templates in Jinja show it."""
    found = parameters(schema)

    assert found == kept
    assert str(found) == str(kept)


def test_a_tool_names_its_function() -> None:
    assert tool_json(Tool("function", "f", "", items={"x": 1})) == {
        "type": "function",
        "items": {"x": 1},
        "function": {"name": "f", "description": "", "parameters": {"type": "", "properties": {}}},
    }


def test_a_schema_that_nests_without_end_is_cut() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(200):
        schema = {"properties": {"a": schema}}

    assert str(parameters(schema)).count("properties") < 50


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ({"type": "string"}, ["string"]),
        ({"type": ["string", 1, "null"]}, ["string", "null"]),
        ({"type": {"x": 1}}, []),
        ({}, []),
    ],
)
def test_a_schema_may_allow_several_types(schema: dict[str, object], names: list[str]) -> None:
    assert type_names(schema) == names
