"""Background responses: generated without a client, and streamed to those that come later."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from server.http.envelopes import openai_envelope
from server.http.sse import ServerSentEvents
from server.openai.responses.events import StreamEvent
from server.openai.responses.framing import ResponseFraming
from server.openai.responses.reply import ResponseStream

Frames = AsyncGenerator[bytes, None]
_FRAME_END: Final = b"\n\n"
_NO_EVENT: Final = b""
"""Comes first: the headers of a stream are sent at once, even when no event follows."""


class FrameFraming(ServerSentEvents):
    """Events that are encoded already."""

    def __init__(self) -> None:
        super().__init__(openai_envelope)

    def frame(self, event: object) -> bytes:
        """Return one event."""
        assert isinstance(event, bytes)
        return event


class BackgroundEvents:
    """The encoded events of a response so far; each client reads them from its own position."""

    def __init__(self, stream: ResponseStream) -> None:
        self._framing = ResponseFraming(stream)
        self._frames: list[bytes] = []
        self._has_grown = asyncio.Event()
        self._has_ended = False

    def add(self, event: StreamEvent) -> None:
        """Add an event."""
        self._append(self._framing.frame(event))

    def fail(self, error: Exception) -> None:
        """Add the event that tells of an error."""
        self._append(self._framing.failure(error))

    def end(self) -> None:
        """Let the clients end; no event follows."""
        self._has_ended = True
        self._has_grown.set()

    @property
    def encoded(self) -> bytes:
        """All events, as they are sent."""
        return b"".join(self._frames)

    async def after(self, position: int) -> Frames:
        """Yield the events behind the one with this number, until the response has ended."""
        yield _NO_EVENT
        at = position + 1
        while True:
            has_grown = self._has_grown
            while at < len(self._frames):
                yield self._frames[at]
                at += 1
            if self._has_ended:
                return
            await has_grown.wait()

    def _append(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._has_grown.set()
        self._has_grown = asyncio.Event()


async def stored_frames(encoded: bytes, position: int) -> Frames:
    """Yield the events of an ended response behind the one with this number."""
    yield _NO_EVENT
    frames: Sequence[bytes] = encoded.split(_FRAME_END)[:-1]
    for frame in frames[position + 1 :]:
        yield frame + _FRAME_END
