"""Gemma 4 reads schemas in a notation of its own, however deep a client nests them."""

import pytest

from server.prompt.messages import Tool
from server.prompt.renderers.gemma_schema import declaration

STRING = 'type:<|"|>STRING<|"|>'


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string"}, STRING),
        ({"type": "string", "description": "D"}, 'description:<|"|>D<|"|>,' + STRING),
        ({"type": "string", "enum": ["a", 1]}, f'enum:[<|"|>a<|"|>,1],{STRING}'),
        ({"type": "integer", "enum": [1]}, 'type:<|"|>INTEGER<|"|>'),
        ({"type": ["string", "null"]}, "type:<|\"|>['STRING', 'NULL']<|\"|>"),
        ({"anyOf": [{"type": "string"}]}, STRING),
        (
            {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "type:<|\"|>['NUMBER', 'NULL']<|\"|>",
        ),
        ({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}, ""),
        ({}, ""),
        (
            {"type": "array", "items": {"type": "string", "minLength": 1}},
            f'items:{{minLength:1,{STRING}}},type:<|"|>ARRAY<|"|>',
        ),
        (
            {"type": "array", "items": {"type": ["string", "null"], "default": {"k": None}}},
            (
                'items:{default:{<|"|>k<|"|>:null},type:[<|"|>STRING<|"|>,<|"|>NULL<|"|>]},'
                'type:<|"|>ARRAY<|"|>'
            ),
        ),
        (
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["z"],
                    "properties": {"z": {"type": "string", "nullable": True}},
                },
            },
            (
                f'items:{{properties:{{z:{{nullable:true,{STRING}}}}},required:[<|"|>z<|"|>],'
                'type:<|"|>OBJECT<|"|>},type:<|"|>ARRAY<|"|>'
            ),
        ),
        (
            {"type": "object", "properties": {"type": {"type": "string"}}},
            f'properties:{{type:{{{STRING}}}}},type:<|"|>OBJECT<|"|>',
        ),
        ({"type": "array", "items": True}, 'type:<|"|>ARRAY<|"|>'),
        ({"type": "object"}, 'properties:{},type:<|"|>OBJECT<|"|>'),
        (
            {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
            f'properties:{{q:{{{STRING}}}}},required:[<|"|>q<|"|>],type:<|"|>OBJECT<|"|>',
        ),
    ],
)
def test_a_property_is_described_in_capitals_and_quotes(
    schema: dict[str, object], shown: str
) -> None:
    tool = Tool("function", "f", "", {"type": "object", "properties": {"p": schema}})

    assert declaration(tool) == (
        '<|tool>declaration:f{description:<|"|><|"|>,parameters:{properties:{p:{'
        + shown
        + '}},type:<|"|>OBJECT<|"|>}}<tool|>'
    )
