"""Framing of msgpack messages on a runner's socket: a four-byte length, then the message."""

from collections.abc import Iterator

import msgspec

from runners.protocol.messages import Command, Event

HEADER_SIZE = 4
MAX_FRAME = 1 << 30

_encoder = msgspec.msgpack.Encoder()
_command_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


class FrameError(Exception):
    """The peer sent bytes that are not a valid frame."""


def encode(message: Command | Event) -> bytes:
    """Return the whole frame of `message`."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return len(body).to_bytes(HEADER_SIZE, "little") + body


class FrameBuffer:
    """Cuts a byte stream into the bodies of its frames, however the bytes arrive."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the bytes that arrived; yield the body of every frame that they complete."""
        pending = self._pending
        pending += data
        start = 0
        try:
            while len(pending) - start >= HEADER_SIZE:
                size = int.from_bytes(pending[start : start + HEADER_SIZE], "little")
                if size > MAX_FRAME:
                    raise FrameError(f"a frame of {size} bytes is over the limit of {MAX_FRAME}")
                end = start + HEADER_SIZE + size
                if len(pending) < end:
                    break
                body = bytes(pending[start + HEADER_SIZE : end])
                start = end
                yield body
        finally:
            del pending[:start]


def decode_command(body: bytes) -> Command:
    """Raises FrameError when `body` is not a valid command."""
    try:
        return _command_decoder.decode(body)
    except msgspec.MsgspecError as e:
        raise FrameError(str(e)) from e


def decode_event(body: bytes) -> Event:
    """Raises FrameError when `body` is not a valid event."""
    try:
        return _event_decoder.decode(body)
    except msgspec.MsgspecError as e:
        raise FrameError(str(e)) from e
