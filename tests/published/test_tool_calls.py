"""A small model calls tools through the official clients, although it forgets the tags of calls."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest

from tests.support.live_server import LiveServer

QUESTION = {"role": "user", "content": "What is the weather in Paris, in celsius?"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
RESULT = json.dumps({"temperature": 17, "condition": "hail"})


@pytest.fixture(scope="module")
def model(server: LiveServer, coder: Path) -> str:
    server.create("caller", coder)
    return "caller"


@pytest.fixture(scope="module")
def openai_client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=120) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_the_ollama_client_gets_a_call_and_the_model_uses_its_result(
    server: LiveServer, model: str, stream: bool
) -> None:
    options = {"temperature": 0, "num_predict": 100}
    with ollama.Client(server.url, timeout=120) as client:
        answer: Any = client.chat(model, [QUESTION], tools=[TOOL], options=options, stream=stream)
        parts = list(answer) if stream else [answer]
        assert "".join(part.message.content or "" for part in parts).strip() == ""
        (call,) = [call for part in parts for call in part.message.tool_calls or ()]
        assert call.function.name == "get_weather"
        assert call.function.arguments["city"] == "Paris"

        turns = [
            QUESTION,
            {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]},
            {"role": "tool", "tool_name": "get_weather", "content": RESULT},
        ]
        text = client.chat(model, turns, tools=[TOOL], options=options).message.content
    assert "17" in (text or "")


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_client_gets_a_call_and_the_model_uses_its_result(
    openai_client: openai.OpenAI, model: str, stream: bool
) -> None:
    create: Any = openai_client.chat.completions.create
    fields = {"model": model, "tools": [TOOL], "temperature": 0, "max_tokens": 100}
    answer = create(messages=[QUESTION], stream=stream, **fields)
    if stream:
        chunks = [chunk for chunk in answer if chunk.choices]
        (call,) = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        (call,) = answer.choices[0].message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments)["city"] == "Paris"

    function = {"name": call.function.name, "arguments": call.function.arguments}
    turns = [
        QUESTION,
        {
            "role": "assistant",
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": RESULT},
    ]
    text = create(messages=turns, **fields).choices[0].message.content
    assert "17" in (text or "")
