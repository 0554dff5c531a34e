"""The forms of `response_format` and `format` that servers document are held, or refused."""

import json
from typing import Any

import pytest

from runners.protocol.constraints import GBNF, JSONSchema, Lark, Regex
from server.errors import BadRequest
from server.openai.chat.request import conversation_of
from server.openai.chat.schemas import ChatCompletionRequest

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
REFERENCE = {"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}}
LLAMA_CPP, MLX, OLLAMA, FASTFLOW = (
    "ggml-org/llama.cpp#11988",
    "Blaizzy/mlx-vlm#1171",
    "ollama/ollama#10001",
    "ROCm/FastFlowLM#554",
)
ANY_OBJECT = {"type": "object"}


def conversation(**fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return conversation_of(ChatCompletionRequest.model_validate(body), {})


def of_type(kind: str, **fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": kind, **fields}}


@pytest.mark.parametrize(
    ("fields", "schema"),
    [
        pytest.param(of_type("json_object"), ANY_OBJECT, id=f"json_object {MLX}"),
        pytest.param(of_type("JSON_OBJECT"), ANY_OBJECT, id=f"in capitals {MLX}"),
        pytest.param(
            of_type("json_object", schema=SCHEMA), SCHEMA, id=f"json_object with schema {LLAMA_CPP}"
        ),
        pytest.param(
            of_type("json_object", json_schema={"schema": SCHEMA}),
            SCHEMA,
            id=f"json_object with json_schema {LLAMA_CPP}",
        ),
        pytest.param(
            of_type("json_schema", schema=SCHEMA), SCHEMA, id=f"schema beside {LLAMA_CPP}"
        ),
        pytest.param(
            of_type("json_schema", json_schema={"name": "x", "strict": True, "schema": SCHEMA}),
            SCHEMA,
            id=f"as documented {OLLAMA}",
        ),
        pytest.param(
            of_type("json_schema", json_schema=SCHEMA), SCHEMA, id=f"schema unwrapped {OLLAMA}"
        ),
        pytest.param(
            of_type("json_schema", json_schema=REFERENCE), REFERENCE, id=f"only $ref {OLLAMA}"
        ),
        pytest.param(
            of_type("json_schema", json_schema={"schema": {}}), ANY_OBJECT, id=f"empty {OLLAMA}"
        ),
        pytest.param({"format": "json"}, ANY_OBJECT, id=f"format json {OLLAMA}"),
        pytest.param({"format": SCHEMA}, SCHEMA, id=f"format schema {OLLAMA}"),
        pytest.param(
            {"format": "json", **of_type("json_schema", schema=SCHEMA)},
            SCHEMA,
            id=f"both {OLLAMA}",
        ),
    ],
)
def test_a_schema_is_held_wherever_it_is_written(
    fields: dict[str, Any], schema: dict[str, Any]
) -> None:
    constraint = conversation(**fields).constraint

    assert isinstance(constraint, JSONSchema)
    assert json.loads(constraint.schema) == schema


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({}, None),
        ({"response_format": None}, None),
        (of_type("text"), None),
        ({"format": ""}, None),
        ({"format": {"regex": "a+"}}, Regex("a+")),
        (of_type("regex", regex="a+"), Regex("a+")),
        (of_type("lark", lark="start: X"), Lark("start: X")),
        (of_type("gbnf", gbnf="root ::= x"), GBNF("root ::= x")),
    ],
)
def test_text_is_free_and_grammars_are_held(fields: dict[str, Any], constraint: object) -> None:
    assert conversation(**fields).constraint == constraint


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(of_type("json_schema"), id=f"no schema {FASTFLOW}"),
        pytest.param(of_type("json_schema", json_schema={"name": "x"}), id=f"name only {FASTFLOW}"),
        pytest.param(of_type("json_schema", json_schema={}), id=f"nothing in it {FASTFLOW}"),
        pytest.param(of_type("yaml"), id=f"unknown type {FASTFLOW}"),
        pytest.param(of_type("regex"), id=f"no grammar {FASTFLOW}"),
        pytest.param({"format": "yaml"}, id=f"unknown format {FASTFLOW}"),
    ],
)
def test_a_form_that_cannot_be_held_is_refused_and_never_ignored(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        conversation(**fields)
