"""Freeform tools in the forms of the APIs, and calls of them as a model writes them."""

import json
from typing import Any

import httpx

from tests.clients_send.items import Item, of, user
from tests.clients_send.sending import RESPONSES, Sender

TEMPLATE = "{% for m in messages %}{{ m.content }} {% endfor %}{# tools <tool_call> </tool_call> #}"
DECLARING = (
    "{% for t in tools %}tool {{ t.function.name }}: "
    "{{ t.function.parameters | tojson }} {% endfor %}"
)


def written(name: str, **arguments: object) -> str:
    """Return a call as the model writes it."""
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def custom(name: str, **format: object) -> Item:
    return of("custom", name=name, description="", **({"format": format} if format else {}))


def declared(api: str, name: str, format: Item | None) -> Item:
    """Return a freeform tool in the form of an API."""
    if api == RESPONSES:
        return of("custom", name=name, format=format)
    if format is not None and format["type"] == "grammar":
        grammar = {key: value for key, value in format.items() if key != "type"}
        format = {"type": "grammar", "grammar": grammar}
    return of("custom", custom={"name": name, "format": format})


async def call_tool(
    sender: Sender, api: str, tools: list[Item], text: str, **fields: Any
) -> httpx.Response:
    name = await sender.model(TEMPLATE)
    return await sender.server.post(api, model=name, tools=tools, **fields, **turn(api, text))


def turn(api: str, text: str) -> dict[str, Any]:
    return {"input": text} if api == RESPONSES else {"messages": [user(text)]}


def said(api: str, reply: Any) -> str:
    if api == RESPONSES:
        return str(reply["output"][0]["content"][0]["text"])
    return str(reply["choices"][0]["message"]["content"])
