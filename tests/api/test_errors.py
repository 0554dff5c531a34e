"""What is said of values that make no sense: always 4xx, and what is wanted instead."""

import json
from typing import Any

import pytest

from tests.support.application import Server

pytestmark = pytest.mark.anyio

LEVELS = '"high", "medium", "low", "max", true, or false'


async def error_of(server: Server, path: str, **body: Any) -> str:
    """Return the text of a refusal, which looks the same to every client."""
    answer = await server.post(path, **body)
    assert answer.status_code == 400
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


@pytest.mark.parametrize(
    ("endpoint", "field", "value", "wanted"),
    [
        ("generate", "model", 5, "a string, not a number"),
        ("generate", "prompt", ["a"], "a string, not a list"),
        ("generate", "stream", "true", "a boolean, not a string"),
        ("generate", "raw", 1, "a boolean, not a number"),
        ("generate", "options", [], "an object, not a list"),
        ("generate", "context", "x", "a list, not a string"),
        ("generate", "top_logprobs", "5", "a whole number, not a string"),
        ("generate", "top_logprobs", 1.5, "a whole number, not 1.5"),
        ("chat", "messages", {}, "a list, not an object"),
        ("chat", "logprobs", "yes", "a boolean, not a string"),
        ("embed", "dimensions", 1.5, "a whole number, not 1.5"),
        ("embed", "truncate", 0, "a boolean, not a number"),
        ("embeddings", "prompt", ["a"], "a string, not a list"),
        ("show", "verbose", "yes", "a boolean, not a string"),
        ("show", "system", {}, "a string, not an object"),
        ("create", "files", ["a"], "an object, not a list"),
        ("copy", "source", True, "a string, not a boolean"),
    ],
)
async def test_a_field_of_another_type_is_named_with_what_it_wants(
    shared: Server, endpoint: str, field: str, value: object, wanted: str
) -> None:
    error = await error_of(shared, f"/api/{endpoint}", **{"model": "base", field: value})

    assert error == f'field "{field}" must be {wanted}'


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Hi", 'each element of field "messages" must be an object, not a string'),
        ({"content": 5}, 'field "messages.content" must be a string, not a number'),
        ({"role": 5}, 'field "messages.role" must be a string, not a number'),
        (
            {"tool_calls": [{"function": {"name": 5}}]},
            'field "messages.tool_calls.function.name" must be a string, not a number',
        ),
    ],
)
async def test_a_field_inside_a_message_is_named_with_its_way(
    shared: Server, message: object, error: str
) -> None:
    assert await error_of(shared, "/api/chat", model="base", messages=[message]) == error


@pytest.mark.parametrize("endpoint", ["generate", "chat", "embed", "embeddings"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("5 5", 'time: unknown unit " " in duration "5 5"'),
        ("-1x", 'time: unknown unit "x" in duration "-1x"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
async def test_a_keep_alive_that_is_no_duration_is_refused(
    shared: Server, endpoint: str, value: object, error: str
) -> None:
    assert await error_of(shared, f"/api/{endpoint}", model="base", keep_alive=value) == error


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("hard", f'invalid think value: "hard" (must be {LEVELS})'),
        ("High", f'invalid think value: "High" (must be {LEVELS})'),
        ("", f'invalid think value: "" (must be {LEVELS})'),
        (1, f"think must be a boolean or string ({LEVELS})"),
        ([], f"think must be a boolean or string ({LEVELS})"),
        ({}, f"think must be a boolean or string ({LEVELS})"),
        (True, '" Base" does not support thinking'),
        ("low", '" Base" does not support thinking'),
    ],
)
async def test_thinking_is_asked_for_in_known_words_and_of_models_that_can(
    shared: Server, endpoint: str, value: object, error: str
) -> None:
    assert await error_of(shared, f"/api/{endpoint}", model=" Base", think=value) == error


@pytest.mark.parametrize("value", ["yaml", "JSON", 5, True, [], '{"type": "object"}'])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [("generate", {"prompt": "a"}), ("chat", {"messages": [{"role": "user", "content": "a"}]})],
)
async def test_a_format_is_json_or_a_schema(
    shared: Server, endpoint: str, asked: dict[str, Any], stream: bool, value: object
) -> None:
    error = await error_of(
        shared, f"/api/{endpoint}", model="base", format=value, stream=stream, **asked
    )

    shown = json.dumps(json.dumps(value))
    assert error == f'invalid format: {shown}; expected "json" or a valid JSON Schema object'


@pytest.mark.parametrize("value", [None, "", "json", {}, {"type": "object"}])
async def test_a_format_that_is_one_is_accepted(shared: Server, value: object) -> None:
    answer = await shared.post("/api/generate", model="base", prompt="a", format=value)

    assert answer.status_code == 200


@pytest.mark.parametrize("endpoint", ["generate", "chat", "embed", "embeddings"])
@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("num_ctx", "x", "type integer"),
        ("seed", True, "type integer"),
        ("temperature", "hot", "type float32"),
        ("top_p", [], "type float32"),
        ("use_mmap", 1, "type boolean"),
        ("stop", 5, "type array"),
        ("stop", ["a", 5], "an array of strings"),
    ],
)
async def test_an_option_of_another_type_is_named_with_what_it_wants(
    shared: Server, endpoint: str, option: str, value: object, wanted: str
) -> None:
    error = await error_of(shared, f"/api/{endpoint}", model="base", options={option: value})

    assert error == f'option "{option}" must be of {wanted}'


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
@pytest.mark.parametrize("value", [-1, 21])
async def test_the_number_of_alternatives_is_bounded(
    shared: Server, endpoint: str, value: int
) -> None:
    """Told even when they are not asked for, and before the model is looked up."""
    asked = {"model": "no-such-model", "logprobs": False, "top_logprobs": value}

    error = await error_of(shared, f"/api/{endpoint}", **asked)

    assert error == "top_logprobs must be between 0 and 20"
