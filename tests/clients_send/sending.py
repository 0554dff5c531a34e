"""Send one conversation with every API and tell which prompt the model got.

A row writes its messages as OpenAI's chat API does, with arguments as objects. The native API
returns the prompt itself; the scripted runner answers the other APIs with the words of its prompt.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.application import Server
from tests.support.gguf_bytes import STRING, U32, key, model

CHAT, COMPLETIONS, MESSAGES, RESPONSES = (
    "/api/chat",
    "/v1/chat/completions",
    "/v1/messages",
    ("/v1/responses"),
)
ALL = (CHAT, COMPLETIONS, MESSAGES, RESPONSES)
WITH_ROLES = (CHAT, COMPLETIONS, RESPONSES)
"""The APIs whose messages may have any role; Anthropic's has one system text."""

Message = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A conversation that clients send, and the prompt that a model with `template` must get.

    `kind` says what is odd about it, `source` is a public report of it.
    """

    kind: str
    source: str
    template: str
    messages: tuple[Message, ...]
    prompt: str
    tools: tuple[Mapping[str, Any], ...] = ()
    apis: tuple[str, ...] = ALL

    def __str__(self) -> str:
        return f"{self.kind} ({self.source})"


def cases(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return each row with each of its APIs."""
    return [(row, api) for row in rows for api in row.apis]


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def developer(text: str) -> Message:
    return {"role": "developer", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def answer(text: str, **fields: object) -> Message:
    return {"role": "assistant", "content": text, **fields}


def call(name: str, arguments: Mapping[str, object] | None = None, id: str = "call_1") -> Message:
    """Return a tool call for `calls`."""
    return {"id": id, "name": name, "arguments": arguments or {}}


def calls(*each: Message, text: str = "", thinking: str = "") -> Message:
    return {"role": "assistant", "content": text, "calls": each, "thinking": thinking}


def result(text: str, id: str = "call_1", name: str = "f") -> Message:
    return {"role": "tool", "content": text, "id": id, "name": name}


def tool(name: str = "f", **properties: object) -> Mapping[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"name": name, "description": "", "parameters": parameters}


class Sender:
    """Sends rows to a server; `options` are those of the native API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._models: dict[str, str] = {}

    async def model(self, template: str) -> str:
        """Return the name of a model with this Jinja template."""
        if template not in self._models:
            name = f"model-{len(self._models)}"
            content = model(
                "llama",
                key("llama.context_length", U32, 4096),
                key("tokenizer.chat_template", STRING, template),
            )
            await self.server.create(name, content)
            self._models[template] = name
        return self._models[template]

    async def check(self, row: Row, api: str) -> None:
        """Fail unless the row makes its prompt when it is sent with `api`."""
        prompt = await self.prompt(row, api)
        if api == CHAT:
            assert prompt == row.prompt
        else:
            assert prompt.split() == row.prompt.split()

    async def prompt(self, row: Row, api: str, **options: object) -> str:
        """Return the prompt; of other APIs than the native one only its words are known."""
        name = await self.model(row.template)
        body = {"model": name, "stream": False, **_BODIES[api](row)}
        if options:
            body["options"] = options
        reply = await self.server.post(api, **body)
        assert reply.status_code == 200, reply.text
        return _TEXTS[api](reply.json())

    async def answer(self, row: Row, api: str, *, model: str) -> str:
        """Return what the scripted runner of `model` answers."""
        body = {name: v for name, v in _BODIES[api](row).items() if name != "_debug_render_only"}
        reply = await self.server.post(api, model=model, stream=False, **body)
        assert reply.status_code == 200, reply.text
        if api == CHAT:
            return str(reply.json()["message"]["content"])
        return _TEXTS[api](reply.json())

    async def refusal(self, row: Row, api: str = CHAT) -> str:
        """Return the text of the 400 that the row gets."""
        name = await self.model(row.template)
        reply = await self.server.post(api, model=name, stream=False, **_BODIES[api](row))
        assert reply.status_code == 400, reply.text
        return str(reply.json()["error"])


def _native(row: Row) -> dict[str, Any]:
    tools = [{"type": "function", "function": tool} for tool in row.tools]
    messages = [_native_message(message) for message in row.messages]
    return {"messages": messages, "tools": tools, "_debug_render_only": True}


def _native_message(message: Message) -> Message:
    fields = {"role": message["role"], "content": message["content"]}
    if message.get("thinking"):
        fields["thinking"] = message["thinking"]
    if message["role"] == "tool":
        fields |= {"tool_name": message["name"], "tool_call_id": message["id"]}
    if "calls" in message:
        fields["tool_calls"] = [
            {"id": c["id"], "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in message["calls"]
        ]
    return fields


def _completions(row: Row) -> dict[str, Any]:
    tools = [{"type": "function", "function": tool} for tool in row.tools]
    messages = [_openai_message(message) for message in row.messages]
    return {"messages": messages, **({"tools": tools} if tools else {})}


def _openai_message(message: Message) -> Message:
    fields = {"role": message["role"], "content": message["content"]}
    if message.get("thinking"):
        fields["reasoning_content"] = message["thinking"]
    if message["role"] == "tool":
        fields["tool_call_id"] = message["id"]
    if "calls" in message:
        fields["content"] = message["content"] or None
        fields["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": _function(c)} for c in message["calls"]
        ]
    return fields


def _function(call: Message) -> Message:
    return {"name": call["name"], "arguments": json.dumps(call["arguments"])}


def _messages(row: Row) -> dict[str, Any]:
    turns = [message for message in row.messages if message["role"] != "system"]
    texts = [message["content"] for message in row.messages if message["role"] == "system"]
    body: dict[str, Any] = {"max_tokens": 4096, "messages": list(map(_anthropic_message, turns))}
    if texts:
        body["system"] = [{"type": "text", "text": text} for text in texts]
    if row.tools:
        body["tools"] = [
            {"name": tool["name"], "input_schema": tool["parameters"]} for tool in row.tools
        ]
    return body


def _anthropic_message(message: Message) -> Message:
    text = message["content"]
    if message["role"] == "tool":
        block = {"type": "tool_result", "tool_use_id": message["id"], "content": text}
        return {"role": "user", "content": [block]}
    if "calls" not in message:
        return {"role": message["role"], "content": text}
    blocks: list[Message] = []
    if message["thinking"]:
        blocks.append({"type": "thinking", "thinking": message["thinking"], "signature": ""})
    if text:
        blocks.append({"type": "text", "text": text})
    blocks += (
        {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["arguments"]}
        for c in message["calls"]
    )
    return {"role": "assistant", "content": blocks}


def _responses(row: Row) -> dict[str, Any]:
    tools = [{"type": "function", **tool} for tool in row.tools]
    items = [item for message in row.messages for item in _items(message)]
    return {"input": items, "store": False, **({"tools": tools} if tools else {})}


def _items(message: Message) -> Iterator[Message]:
    text = message["content"]
    if message["role"] == "tool":
        yield {"type": "function_call_output", "call_id": message["id"], "output": text}
        return
    if message.get("thinking"):
        summary = [{"type": "summary_text", "text": message["thinking"]}]
        yield {"type": "reasoning", "id": "rs_1", "summary": summary}
    if text or "calls" not in message:
        yield {"type": "message", "role": message["role"], "content": text}
    for call in message.get("calls", ()):
        yield {"type": "function_call", "call_id": call["id"], **_function(call)}


_BODIES = {CHAT: _native, COMPLETIONS: _completions, MESSAGES: _messages, RESPONSES: _responses}
_TEXTS = {
    CHAT: lambda reply: reply["_debug_info"]["rendered_template"],
    COMPLETIONS: lambda reply: reply["choices"][0]["message"]["content"],
    MESSAGES: lambda reply: reply["content"][0]["text"],
    RESPONSES: lambda reply: reply["output"][0]["content"][0]["text"],
}
