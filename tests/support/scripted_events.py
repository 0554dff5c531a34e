"""Answers of the chat service, written out event by event, and how they look on the wire."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from server.inference.conversation import Event
from server.streaming import EventReply
from tests.support.asgi import Client, Reply, http_scope


async def scripted(*events: Event | Exception) -> AsyncGenerator[Event, None]:
    """Yield `events` as the service would; an exception among them is raised."""
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


async def sent(reply: EventReply[Any]) -> Reply:
    """Return what a client receives that stays to the end."""
    client = Client()
    await reply(http_scope(), client.receive, client.send)
    return client.reply


def named_events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the server-sent events of a stream, each a name and an object."""
    *blocks, rest = body.decode().split("\n\n")
    assert rest == ""
    return [_named_event(block) for block in blocks]


def _named_event(block: str) -> tuple[str, dict[str, Any]]:
    name, data = block.split("\n")
    assert name.startswith("event: ")
    assert data.startswith("data: ")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))
