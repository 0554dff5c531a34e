"""Parse recorded and live HTTP answers: JSON objects, NDJSON streams, SSE streams or plain text."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any


class BodyKind(Enum):
    """How the body of an answer is written."""

    JSON = "one JSON object"
    NDJSON = "a stream of JSON lines"
    SSE = "a stream of server-sent events"
    TEXT = "plain text"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, media type and body text of one HTTP answer."""

    status: int
    media_type: str
    body: str

    @classmethod
    def recorded(cls, fields: dict[str, Any]) -> "Answer":
        """Read an answer as `recorded.json` holds it."""
        return cls(fields["status"], fields["type"].split(";")[0], fields["body"])


@dataclass(frozen=True, slots=True)
class Event:
    """One element of an answer: `name` is that of a server-sent event."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body; every kind is a list of events, most of them of one element."""

    kind: BodyKind
    events: list[Event]


def parse_body(answer: Answer) -> Body:
    """Return the body by its media type, and by its content where that says nothing."""
    if answer.media_type == "text/event-stream":
        blocks = answer.body.strip().split("\n\n")
        return Body(BodyKind.SSE, [_sse_event(block) for block in blocks])
    text = answer.body.strip()
    for kind, parts in ((BodyKind.JSON, [text]), (BodyKind.NDJSON, text.split("\n"))):
        try:
            return Body(kind, [Event("", json.loads(part)) for part in parts])
        except ValueError:
            continue
    return Body(BodyKind.TEXT, [Event("", text)])


def _sse_event(block: str) -> Event:
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    data = "\n".join(fields.get("data", []))
    try:
        value: Any = json.loads(data)
    except ValueError:
        value = data
    return Event("".join(fields.get("event", [])), value)
