"""/v1/messages and /v1/responses with tools: a call, its result, and what is said about it.

The scripted runner says its prompt, so what the user writes is what the model calls.
"""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.sse import DONE, data_of, events_of

pytestmark = pytest.mark.anyio

CALL = '<tool_call>{"name":"weather","arguments":{"city":"Oslo"}}</tool_call>'
TEMPLATE = (
    "{{ range .Tools }}{{ end }}{{ range .Messages }}{{ .ToolName }} {{ .Content }} "
    '{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{"name":"{{ .Function.Name }}",'
    '"arguments":{{ .Function.Arguments }}}{{ end }}</tool_call>{{ end }}{{ end }}'
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture(scope="module")
async def caller(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Server]:
    """A server with the model `caller`, whose template knows tools."""
    directory: Path = tmp_path_factory.mktemp("caller")
    async with serving(directory) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("caller", "base", template=TEMPLATE)
        yield server


def messages(*turns: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tool = {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}
    asked = {"model": "caller", "max_tokens": 99, "messages": list(turns), "tools": [tool]}
    return {**asked, **fields}


def responses(given: object, **fields: Any) -> dict[str, Any]:
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA}
    return {"model": "caller", "input": given, "tools": [tool], **fields}


async def test_a_message_calls_and_goes_on_from_the_result(caller: Server) -> None:
    asked = {"role": "user", "content": f"Look: {CALL}"}
    called = (await caller.post("/v1/messages", **messages(asked))).json()

    assert called["stop_reason"] == "tool_use"
    text, use = called["content"]
    assert (text["type"], text["text"].strip()) == ("text", "Look:")
    assert (use["type"], use["name"], use["input"]) == ("tool_use", "weather", {"city": "Oslo"})

    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "4 C"}
    answer = await caller.post(
        "/v1/messages",
        **messages(
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": [{"type": "text", "text": "Wait."}]},
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
        ),
    )
    assert answer.json()["content"][0]["text"] == "Go Wait. 4 C So? "


async def test_a_streamed_message_tells_the_call_as_a_block(caller: Server) -> None:
    asked = messages({"role": "user", "content": CALL}, stream=True)
    events = events_of((await caller.post("/v1/messages", **asked)).text)

    started = [data["content_block"] for name, data in events if name == "content_block_start"]
    assert [block["type"] for block in started] == ["tool_use"]
    [arguments] = [d["delta"]["partial_json"] for n, d in events if n == "content_block_delta"]
    assert json.loads(arguments) == {"city": "Oslo"}
    assert events[-2][1]["delta"]["stop_reason"] == "tool_use"


async def test_the_template_reads_which_tool_a_result_is_of(caller: Server) -> None:
    """Some models are told by name, and clients send only an id."""
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "4 C"}
    answer = await caller.post(
        "/v1/messages",
        **messages({"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}),
        tool_choice={"type": "none"},
    )

    said = "".join(block.get("text", "") for block in answer.json()["content"])
    assert "weather 4 C" in said


async def test_a_response_calls_and_goes_on_from_the_result(caller: Server) -> None:
    called = (await caller.post("/v1/responses", **responses(CALL))).json()

    [call] = called["output"]
    assert (call["type"], call["name"]) == ("function_call", "weather")
    assert json.loads(call["arguments"]) == {"city": "Oslo"}

    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "4 C"}
    answer = await caller.post(
        "/v1/responses",
        **responses([output], previous_response_id=called["id"], tool_choice="none"),
    )
    said = answer.json()["output"][-1]["content"][0]["text"]
    assert "weather 4 C" in said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/messages",
            messages(
                {"role": "user", "content": "Go"}, tool_choice={"type": "tool", "name": "nosuch"}
            ),
        ),
        (
            "/v1/responses",
            responses("Go", tool_choice={"type": "function", "name": "nosuch"}),
        ),
    ],
)
async def test_a_tool_that_must_be_called_has_to_be_there(
    caller: Server, path: str, body: dict[str, Any]
) -> None:
    answer = await caller.post(path, **body)

    assert answer.status_code == 400
    assert "nosuch" in answer.json()["error"]["message"]


BARE_CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'


def chat(text: str, **fields: Any) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    turns = [{"role": "user", "content": text}]
    return {"model": "caller", "messages": turns, "tools": [tool], **fields}


async def test_a_call_without_its_tags_is_a_call_and_the_log_says_how_it_was_written(
    caller: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "server.requests")
    answer = await caller.post("/api/chat", **chat(BARE_CALL, stream=False))

    message = answer.json()["message"]
    assert message["content"].strip() == ""
    assert message["tool_calls"][0]["function"]["name"] == "weather"
    assert message["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    fields = [r for r in caplog.records if r.name == "server.requests"][-1].fields
    assert fields["lenient_calls"] == "weather as JSON"


async def test_such_a_call_is_streamed_to_openai_clients_as_a_call(caller: Server) -> None:
    answer = await caller.post("/v1/chat/completions", **chat(BARE_CALL, stream=True))

    chunks = [chunk for chunk in data_of(answer.text) if chunk != DONE]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).strip() == ""
    (call,) = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    assert choices[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("fields", [{"format": "json"}, {"tools": []}], ids=str)
async def test_with_a_format_or_without_tools_it_stays_text(
    caller: Server, fields: dict[str, object]
) -> None:
    answer = await caller.post("/api/chat", **(chat(BARE_CALL, stream=False) | fields))

    message = answer.json()["message"]
    assert message["content"].strip() == BARE_CALL
    assert "tool_calls" not in message
