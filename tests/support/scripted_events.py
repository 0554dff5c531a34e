"""Answers of the chat service, written out event by event."""

from collections.abc import AsyncGenerator
from typing import Any

from server.http.streaming import EventReply
from server.inference.conversation import Event
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
