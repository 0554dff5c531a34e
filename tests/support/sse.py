"""Reading server-sent events as a client does, strictly."""

import json
from typing import Any

from server.http.sse import ServerSentEvents

DONE = "[DONE]"


def events_of(text: str) -> list[tuple[str, Any]]:
    """Return the name and the data of each event; data that is no JSON stays text."""
    assert not text or text.endswith("\n\n")
    return [_event(block) for block in text.removesuffix("\n\n").split("\n\n") if block]


def data_of(text: str) -> list[Any]:
    """Return the data of the events, none of which may have a name."""
    events = events_of(text)
    assert {name for name, _ in events} <= {""}
    return [data for _, data in events]


def sent(framing: ServerSentEvents, events: list[Any]) -> list[Any]:
    """Return what a client reads when `events` are sent."""
    return data_of(b"".join(framing.frame(event) for event in events).decode())


def _event(block: str) -> tuple[str, Any]:
    lines = block.split("\n")
    name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else ""
    assert len(lines) == 1
    assert lines[0].startswith("data: ")
    data = lines[0].removeprefix("data: ")
    return name, data if data == DONE else json.loads(data)
