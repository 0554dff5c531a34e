"""The server's end of the socket to a worker: one job out, one frame in."""

import asyncio
from typing import Final, cast

from server.isolation.framing import HEADER_SIZE, header, size_of

_SMALL: Final = 1 << 16


class Channel(asyncio.BufferedProtocol):
    """Reads frames straight into their place; one that is too large, or unasked, closes it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frame, self._n_read, self._in_body = bytearray(HEADER_SIZE), 0, False
        self._next: asyncio.Future[bytearray | None] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether a job can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def next_frame(self) -> "asyncio.Future[bytearray | None]":
        """Return what will be the next frame, or None when the socket closes before it came."""
        self._next = asyncio.get_running_loop().create_future()
        return self._next

    def ask(self, job: bytes) -> "asyncio.Future[bytearray | None]":
        """Send a job; return what will be its answer, as `next_frame` does."""
        frame = self.next_frame()
        if self._transport is None or self._transport.is_closing():
            self._settle(None)
        elif len(job) <= _SMALL:
            self._transport.write(header(len(job)) + job)
        else:
            self._transport.write(header(len(job)))
            self._transport.write(job)
        return frame

    def close(self) -> None:
        """Close the socket; whoever waits for a frame gets none."""
        if self._transport is not None:
            self._transport.abort()
        self._settle(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that there is no more to come."""
        self._settle(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong."""
        return memoryview(self._frame)[self._n_read :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that came."""
        self._n_read += nbytes
        if self._n_read < len(self._frame):
            return
        size = size_of(self._frame)
        if self._in_body:
            frame = self._frame
            self._start(HEADER_SIZE, in_body=False)
            self._settle(frame)
        elif self._next is None or not 0 < size <= self._max_bytes:
            self.close()
        else:
            self._start(size, in_body=True)

    def _start(self, size: int, *, in_body: bool) -> None:
        self._frame, self._n_read, self._in_body = bytearray(size), 0, in_body

    def _settle(self, frame: bytearray | None) -> None:
        if self._next is not None and not self._next.done():
            self._next.set_result(frame)
        self._next = None
