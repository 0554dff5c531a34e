"""Stream format of Anthropic's API: named server-sent events."""

from server.anthropic.wire import StreamEvent
from server.errors import explain
from server.http.envelopes import anthropic_envelope
from server.http.sse import ServerSentEvents, event_bytes


class MessageFraming(ServerSentEvents):
    """Named events; an error in the middle of the stream is the event `error`."""

    def __init__(self) -> None:
        super().__init__(anthropic_envelope)

    def frame(self, event: object) -> bytes:
        """Return one event."""
        assert isinstance(event, StreamEvent)
        return event_bytes(event, str(event.__struct_config__.tag))

    async def heartbeat(self) -> bytes:
        """Return the event that the API itself has for this."""
        return event_bytes({"type": "ping"}, "ping")

    def failure(self, error: Exception) -> bytes:
        """Return the event that tells of an error."""
        return event_bytes(anthropic_envelope(explain(error)), "error")
