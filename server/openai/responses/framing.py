"""Stream format of the Responses API: numbered, named server-sent events."""

from itertools import count

from server.errors import explain
from server.http.envelopes import openai_envelope
from server.http.sse import ServerSentEvents, event_bytes
from server.openai.responses.events import StreamEvent
from server.openai.responses.reply import ResponseStream


class ResponseFraming(ServerSentEvents):
    """The events of one response; an error in the middle is the event `response.failed`."""

    def __init__(self, stream: ResponseStream) -> None:
        super().__init__(openai_envelope)
        self._stream = stream
        self._numbers = count()

    def frame(self, event: object) -> bytes:
        """Return one event."""
        assert isinstance(event, StreamEvent)
        event.sequence_number = next(self._numbers)
        return event_bytes(event, event.name)

    def failure(self, error: Exception) -> bytes:
        """Return the event that tells of an error."""
        return self.frame(self._stream.fail(explain(error)))
