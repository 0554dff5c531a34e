"""Server-sent events: how the APIs of OpenAI and Anthropic stream."""

from starlette.responses import Response

from server.errors import explain
from server.http.envelopes import Envelope
from server.http.json_encoding import encode
from server.http.streaming import BARE_JSON_TYPE, Framing, error_response

EVENTS_TYPE = "text/event-stream"


def event_bytes(data: object, name: str = "") -> bytes:
    """Return one event on the wire, with a line for its `name` if it has one."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + encode(data) + b"\n\n"


class ServerSentEvents(Framing):
    """Events without a name; an error in the middle of the stream is one more, and the last.

    `end` closes a stream that did not fail. An API whose events have names says so in a class of
    its own.
    """

    headers = (
        (b"content-type", EVENTS_TYPE.encode()),
        # Neither a cache nor a proxy may hold events back.
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    )

    def __init__(self, envelope: Envelope, end: bytes = b"") -> None:
        self._envelope = envelope
        self.end = end

    def frame(self, event: object) -> bytes:
        """Return one event."""
        return event_bytes(event)

    def failure(self, error: Exception) -> bytes:
        """Return the event that tells of an error."""
        return event_bytes(self._envelope(explain(error)))

    def refusal(self, error: BaseException) -> Response:
        """Return an error as the whole reply."""
        return error_response(error, BARE_JSON_TYPE, self._envelope)
