"""The host's end of the socket to one runner: frames both ways, events routed by request id."""

import asyncio
from collections.abc import Callable
from typing import cast

from runners.host.errors import RunnerError
from runners.host.event_queue import Answer, EventQueue
from runners.protocol.framing import FrameBuffer, FrameError, decode_event, encode
from runners.protocol.messages import Command, SetupEvent, Step


class Connection(asyncio.Protocol):
    """One runner's socket.

    Events that answer a request go to its mailbox, those of the start-up (which have no id) to
    `on_setup`. `closed` is done when the socket is; requests are ended separately, by `fail`,
    because only the owner of the process can say why it went away.
    """

    def __init__(self, on_setup: Callable[[SetupEvent], None]) -> None:
        self._on_setup = on_setup
        self._frames = FrameBuffer()
        self._mailboxes: dict[int, EventQueue] = {}
        self._last_id = 0
        self._transport: asyncio.WriteTransport | None = None
        self._error: Callable[[], RunnerError] | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def n_pending(self) -> int:
        """Number of requests that wait for an answer."""
        return len(self._mailboxes)

    def open_mailbox(self) -> tuple[int, EventQueue]:
        """Return a fresh request id and the mailbox that its answers will go to."""
        if self._error is not None:
            raise self._error()
        self._last_id += 1
        mailbox = self._mailboxes[self._last_id] = EventQueue()
        return self._last_id, mailbox

    def close_mailbox(self, request_id: int) -> None:
        """Forget a request; later events for it are ignored."""
        self._mailboxes.pop(request_id, None)

    def send(self, command: Command) -> None:
        """Queue a command; does nothing once the socket is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(command))

    def close(self) -> None:
        """Drop the socket at once; the runner sees the end of file and ends."""
        if self._transport is not None:
            self._transport.abort()

    def fail(self, make_error: Callable[[], RunnerError]) -> None:
        """End every pending request, and every later one, with an error of its own."""
        if self._error is None:
            self._error = make_error
        for mailbox in self._mailboxes.values():
            mailbox.fail(self._error())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports share no base class with asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                event = decode_event(body)
                if type(event) is Step:
                    for answer in event.events:
                        self._deliver(answer)
                elif isinstance(event, SetupEvent):
                    self._on_setup(event)
                elif not isinstance(event, Step):
                    self._deliver(event)
        except FrameError:
            # A runner that no longer speaks the protocol is as good as dead; its owner sees the
            # closed socket and kills it.
            self.close()

    def _deliver(self, answer: Answer) -> None:
        mailbox = self._mailboxes.get(answer.id)
        if mailbox is not None:
            mailbox.put(answer)
