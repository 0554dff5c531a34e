"""Server-sent events, the stream format of the OpenAI and Anthropic APIs."""

from starlette.responses import Response

from server.errors import explain
from server.http.envelopes import Envelope
from server.http.json_encoding import encode
from server.http.streaming import BARE_JSON_TYPE, Framing, error_response

EVENTS_TYPE = "text/event-stream"


def event_bytes(data: object, name: str = "") -> bytes:
    """Return one encoded event, with an `event:` line if it has a `name`."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + encode(data) + b"\n\n"


class ServerSentEvents(Framing):
    """Unnamed events; an error in the middle of the stream is the last one.

    `end` closes a stream that did not fail. APIs with named events subclass this.
    """

    headers = (
        (b"content-type", EVENTS_TYPE.encode()),
        # Caches and proxies must not buffer events.
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    )

    def __init__(self, envelope: Envelope, end: bytes = b"") -> None:
        self._envelope = envelope
        self.end = end

    def frame(self, event: object) -> bytes:
        """Encode one event."""
        return event_bytes(event)

    async def heartbeat(self) -> bytes:
        """Return a comment, which every parser of such streams skips."""
        return b": keep-alive\n\n"

    def failure(self, error: Exception) -> bytes:
        """Return the event for an error in the middle of the stream."""
        return event_bytes(self._envelope(explain(error)))

    def refusal(self, error: BaseException) -> Response:
        """Return the whole reply to a request that failed before anything was sent."""
        return error_response(error, BARE_JSON_TYPE, self._envelope)
