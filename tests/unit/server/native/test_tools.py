"""Schemas of tools reach the model as they were sent; what clients write oddly is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from server.native.schemas import ChatRequest, Tool

WEATHER = {
    "type": "object",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "description": "Where"},
        "days": {"type": ["integer", "null"], "enum": [1, 2, None]},
        "place": {
            "type": "object",
            "properties": {"lat": {"type": "number"}},
            "required": ["lat"],
        },
        "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    },
    "$defs": {"X": {"type": "string"}},
}


def told(parameters: object) -> dict[str, Any]:
    """Return the parameters as templates get them."""
    tool = Tool.model_validate({"type": "function", "function": {"parameters": parameters}})
    return tool.function.parameters


def test_what_templates_know_is_kept() -> None:
    assert told(WEATHER) == WEATHER


def test_properties_keep_their_order_and_their_case() -> None:
    properties = {"b": {"type": "string"}, "B": {"type": "number"}, "a": {"type": "boolean"}}

    assert list(told({"properties": properties})["properties"]) == ["b", "B", "a"]


def test_other_keys_of_a_schema_are_kept() -> None:
    """They are shown to the model, and calls are held to them."""
    odd = {
        "type": "object",
        "additionalProperties": False,
        "title": "T",
        "properties": {"n": {"type": "integer", "minimum": 1, "default": 5, "format": "int32"}},
    }

    assert told(odd) == odd


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        ({"properties": []}, {"properties": {}}),
        ({"properties": None, "type": None}, {}),
        ({"properties": {"x": True}}, {"properties": {"x": True}}),
        (
            {"properties": {"x": {"type": "string", "required": True}}},
            {"properties": {"x": {"type": "string"}}, "required": ["x"]},
        ),
        (
            {"properties": {"x": {"required": False}, "y": {}}, "required": ["y"]},
            {"properties": {"x": {}, "y": {}}, "required": ["y"]},
        ),
        (
            {"properties": {"x": {}, "y": {}}, "required": True},
            {"properties": {"x": {}, "y": {}}, "required": ["x", "y"]},
        ),
    ],
    ids=["a list of none", "null", "boolean", "required", "not required", "all required"],
)
def test_what_is_no_json_schema_has_its_clear_meaning(parameters: object, schema: object) -> None:
    assert told(parameters) == schema


@pytest.mark.parametrize("tool", [None, {}, {"function": None}, {"function": {"parameters": None}}])
def test_an_empty_tool_is_a_tool(tool: object) -> None:
    (found,) = ChatRequest.model_validate({"tools": [tool]}).tools

    assert (found.type, found.function.name) == ("", "")
    assert found.function.parameters == {}


@pytest.mark.parametrize("value", [5, True, {}, ["string", 5]], ids=repr)
def test_a_type_that_is_none_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        told({"properties": {"x": {"type": value}}})

    (error,) = caught.value.errors()
    assert error["msg"] == 'the "type" of a tool parameter must be a string or a list of strings'


@pytest.mark.parametrize(
    "parameters",
    [[], "x", {"properties": "x"}, {"required": "city"}, {"type": ["object"]}],
    ids=repr,
)
def test_parameters_of_another_shape_are_refused(parameters: object) -> None:
    with pytest.raises(ValidationError):
        told(parameters)
