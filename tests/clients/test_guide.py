"""What a stranger tries first, through the official libraries, with the model that comes along."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic
from ollama import Client
from openai import OpenAI
from pydantic import BaseModel

from tests.support.live_server import LiveServer, live_server

MODEL = "paddock"
QUESTION = "How do I pull a model?"
WEATHER = "What is the weather in Lisbon?"
RESULT = '{"temperature":23,"condition":"sunny"}'
PARAMETERS = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string", "description": "Name of the city"}},
}
ABOUT = "Get the weather"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "description": ABOUT, "parameters": PARAMETERS},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("guide"), PADDOCK_NO_BUILTIN="0") as running:
        yield running


@pytest.fixture(scope="module")
def ollama(server: LiveServer) -> Iterator[Client]:
    with Client(server.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def openai(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic(server: LiveServer) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_calls_a_tool_and_uses_its_result(ollama: Client, stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    asked = {"tools": [TOOL], "think": False}
    if stream:
        parts = list(ollama.chat(MODEL, messages, stream=True, **asked))
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        assert "<tool_call>" not in "".join(part.message.content or "" for part in parts)
    else:
        calls = list(ollama.chat(MODEL, messages, **asked).message.tool_calls or ())

    [call] = calls
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Lisbon"})
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [{"function": call.function}]},
        {"role": "tool", "tool_name": "get_weather", "content": RESULT},
    ]
    told = ollama.chat(MODEL, messages, **asked).message
    assert not told.tool_calls
    assert "23" in (told.content or "")


def test_ollama_thinks_apart_from_the_answer(ollama: Client) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    thought = ollama.chat(MODEL, messages, think=True).message
    parts = list(ollama.chat(MODEL, messages, think=True, stream=True))

    assert thought.thinking
    assert "ollama pull" in (thought.content or "")
    assert "".join(part.message.thinking or "" for part in parts) == thought.thinking
    assert "".join(part.message.content or "" for part in parts) == thought.content
    assert not ollama.chat(MODEL, messages, think=False).message.thinking


def test_ollama_fills_a_gap(ollama: Client) -> None:
    filled = ollama.generate(MODEL, "def add(a, b):\n    ", suffix="\n")

    assert filled.response == "return a + b"


@pytest.mark.parametrize("think", [False, True])
def test_ollama_answers_in_a_schema(ollama: Client, think: bool) -> None:
    """Reasoning stays free, and the answer after it holds all the same."""
    messages = [{"role": "user", "content": "Make a JSON object with name Anna and age 34."}]
    answer = ollama.chat(MODEL, messages, think=think, format=Person.model_json_schema()).message

    assert Person.model_validate_json(answer.content or "") == Person(name="Anna", age=34)
    assert bool(answer.thinking) is think


def test_openai_calls_a_tool_and_uses_its_result(openai: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    asked: dict[str, Any] = {"model": MODEL, "tools": [TOOL], "reasoning_effort": "none"}
    choice = openai.chat.completions.create(messages=messages, temperature=0, **asked).choices[0]

    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls or ()
    assert json.loads(call.function.arguments) == {"city": "Lisbon"}
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": RESULT}]
    told = openai.chat.completions.create(messages=messages, temperature=0, **asked).choices[0]
    assert "23" in (told.message.content or "")


@pytest.mark.parametrize("tool_choice", ["required", TOOL | {"function": {"name": "get_weather"}}])
def test_openai_gets_the_call_that_it_demands(openai: OpenAI, tool_choice: Any) -> None:
    """Of a model that would rather answer in words."""
    choice = openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        tools=[TOOL],
        tool_choice=tool_choice,
        parallel_tool_calls=False,
        reasoning_effort="none",
        temperature=0,
        max_completion_tokens=200,
    ).choices[0]

    [call] = choice.message.tool_calls or ()
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_openai_streams_a_call(openai: OpenAI) -> None:
    with openai.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": WEATHER}],
        tools=[TOOL],
        reasoning_effort="none",
        temperature=0,
    ) as stream:
        message = stream.get_final_completion().choices[0].message

    [call] = message.tool_calls or ()
    assert json.loads(call.function.arguments) == {"city": "Lisbon"}


def test_openai_parses_a_person(openai: OpenAI) -> None:
    parsed = openai.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Make a JSON object with name Anna and age 34."}],
        response_format=Person,
        reasoning_effort="none",
        temperature=0,
    )

    assert parsed.choices[0].message.parsed == Person(name="Anna", age=34)


def test_openai_responses_remember_and_call(openai: OpenAI) -> None:
    tool: Any = {"type": "function", "strict": False, **TOOL["function"]}
    first = openai.responses.create(
        model=MODEL, input=WEATHER, tools=[tool], temperature=0, reasoning={"effort": "none"}
    )
    [call] = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Lisbon"}

    told = openai.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": RESULT}],
        tools=[tool],
        temperature=0,
        reasoning={"effort": "none"},
    )
    assert "23" in told.output_text


def test_openai_embeds(openai: OpenAI) -> None:
    answer = openai.embeddings.create(model="paddock-embed", input=["one text", "another"])

    assert len({len(entry.embedding) for entry in answer.data}) == 1
    assert len(answer.data) == 2


def test_anthropic_calls_a_tool_and_uses_its_result(anthropic: Anthropic) -> None:
    tools: list[Any] = [{"name": "get_weather", "description": ABOUT, "input_schema": PARAMETERS}]
    messages: list[Any] = [{"role": "user", "content": WEATHER}]
    asked: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 200,
        "tools": tools,
        "thinking": {"type": "disabled"},
    }
    with anthropic.messages.stream(messages=messages, **asked) as stream:
        answer = stream.get_final_message()

    assert answer.stop_reason == "tool_use"
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert call.input == {"city": "Lisbon"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
    messages += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    told = anthropic.messages.create(messages=messages, **asked)
    assert told.stop_reason == "end_turn"
    assert "23" in "".join(block.text for block in told.content if block.type == "text")


def test_anthropic_counts_what_it_is_charged(anthropic: Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    thinking: Any = {"type": "disabled"}
    counted = anthropic.messages.count_tokens(model=MODEL, messages=messages, thinking=thinking)
    answer = anthropic.messages.create(
        model=MODEL, max_tokens=50, messages=messages, thinking=thinking
    )

    assert counted.input_tokens == answer.usage.input_tokens
