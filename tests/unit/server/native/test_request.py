"""Requests of the native API mean to the services what the reference's documentation says."""

import json

import pytest

from runners.protocol.constraints import GBNF, JSONSchema, Lark, Regex
from server.errors import BadRequest
from server.native.request import completion_of, constraint_of, conversation_of
from server.native.schemas import ChatRequest, GenerateRequest


@pytest.mark.parametrize("format", [None, ""])
def test_no_format_is_free_text(format: object) -> None:
    assert constraint_of(format) is None


@pytest.mark.parametrize("format", ["json", {}])
def test_json_without_a_schema_is_any_object(format: object) -> None:
    assert constraint_of(format) == JSONSchema('{"type":"object"}')


def test_a_schema_reaches_the_runner_as_it_was_sent() -> None:
    schema = {"type": "object", "properties": {"größe": {"enum": ["ü", 1, None]}}}
    constraint = constraint_of(schema)

    assert isinstance(constraint, JSONSchema)
    assert json.loads(constraint.schema) == schema
    assert "größe" in constraint.schema


@pytest.mark.parametrize(
    ("format", "constraint"),
    [
        ({"regex": "a+"}, Regex("a+")),
        ({"lark": "start: X"}, Lark("start: X")),
        ({"gbnf": "root ::= x"}, GBNF("root ::= x")),
        ({"regex": "a", "type": "string"}, JSONSchema('{"regex": "a", "type": "string"}')),
    ],
)
def test_other_grammars_than_json_are_told_by_a_single_key(
    format: object, constraint: object
) -> None:
    assert constraint_of(format) == constraint


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ("yaml", r'"\"yaml\""'), ("JSON", r'"\"JSON\""'), (5, '"5"'), ([], '"[]"'),
        (False, '"false"'), ('{"type":"object"}', r'"\"{\\\"type\\\":\\\"object\\\"}\""'),
    ],
)  # fmt: skip
def test_another_format_is_refused_in_the_words_of_the_reference(
    format: object, shown: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        constraint_of(format)

    assert str(caught.value) == (
        f'invalid format: {shown}; expected "json" or a valid JSON Schema object'
    )


@pytest.mark.parametrize(
    ("logprobs", "top", "n"), [(False, 0, None), (False, 5, None), (True, 0, 0), (True, 5, 5)]
)
def test_alternatives_are_told_only_with_log_probabilities(
    logprobs: bool, top: int, n: int | None
) -> None:
    chat = ChatRequest(model="m", logprobs=logprobs, top_logprobs=top)
    generate = GenerateRequest(model="m", logprobs=logprobs, top_logprobs=top)

    assert conversation_of(chat).logprobs == completion_of(generate).logprobs == n
