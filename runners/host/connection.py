"""The server's end of the socket to one runner: send commands, route events by request id."""

import asyncio
from collections.abc import Callable
from typing import cast

from runners.host.errors import RunnerError
from runners.host.event_queue import Answer, EventQueue
from runners.protocol.framing import FrameBuffer, FrameError, decode_event, encode
from runners.protocol.messages import Command, ProcessEvent, Step


class Connection(asyncio.Protocol):
    """One runner's socket, as an asyncio protocol.

    Events that answer a request go to its queue, those about the process to `on_event`.
    `closed` is done when the socket is closed. Requests are failed separately, by `fail`, because
    only the owner of the process knows why it exited.
    """

    def __init__(self, on_event: Callable[[ProcessEvent], None]) -> None:
        self._on_event = on_event
        self._frames = FrameBuffer()
        self._queues: dict[int, EventQueue] = {}
        self._last_id = 0
        self._transport: asyncio.WriteTransport | None = None
        self._error: Callable[[], RunnerError] | None = None
        self.n_received = 0
        """Number of times that bytes arrived."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def n_pending(self) -> int:
        """Number of requests without a terminal event."""
        return len(self._queues)

    def open_request(self) -> tuple[int, EventQueue]:
        """Return a new request id and the queue of its events.

        Raises the error of `fail` once that was called.
        """
        if self._error is not None:
            raise self._error()
        self._last_id += 1
        queue = self._queues[self._last_id] = EventQueue()
        return self._last_id, queue

    def close_request(self, request_id: int) -> None:
        """Remove a request; later events for it are dropped."""
        self._queues.pop(request_id, None)

    def send(self, command: Command) -> None:
        """Send a command; does nothing once the socket is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(command))

    def close(self) -> None:
        """Close the socket at once; the runner reads the end of file and exits."""
        if self._transport is not None:
            self._transport.abort()

    def fail(self, make_error: Callable[[], RunnerError]) -> None:
        """Fail every pending and later request, each with an error object of its own."""
        if self._error is None:
            self._error = make_error
        for queue in self._queues.values():
            queue.fail(self._error())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports share no base class with asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.n_received += 1
        try:
            for body in self._frames.feed(data):
                event = decode_event(body)
                if type(event) is Step:
                    for answer in event.events:
                        self._deliver(answer)
                elif isinstance(event, ProcessEvent):
                    self._on_event(event)
                elif not isinstance(event, Step):
                    self._deliver(event)
        except FrameError:
            # A runner that breaks the protocol is of no use. Its owner kills it once the socket is
            # closed.
            self.close()

    def _deliver(self, answer: Answer) -> None:
        queue = self._queues.get(answer.id)
        if queue is not None:
            queue.put(answer)
