"""HTTP/1.1 protocol: uvicorn's, with bounds on heads, framing, pipelining and silent clients."""

import asyncio
import enum
import http
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from server.http.close_delimited import close_delimited
from server.http.connection_limit import ConnectionLimit
from server.http.request_log import log_request, new_id
from server.http.zero_copy import is_possible, zero_copy
from server.request_record import RequestRecord

MAX_HEAD = 64 << 10
"""Bytes of a request line and its headers."""
MAX_HEADERS = 200
MAX_PIPELINE = 64
"""Requests that a client may send before it has the answer to the first."""
_HEAD_PART = 16 << 10
# Bytes of chunk sizes, extensions and trailers: so many, and as many as half of the body. A chunk
# takes microseconds, however small it is.
_MAX_FRAMING = MAX_HEAD
_MAX_FRAMING_SHARE = 0.5
# A client that was refused may go on sending for so long before the connection is reset.
_LINGER_SECONDS = 2.0
# Event loops refuse infinite delays; a deadline that is later is checked again.
_MAX_DELAY = 86400.0
_MAX_DISCARDED = 64 << 20
_MAX_DISCARDED_AFTER_REFUSAL = 1 << 20


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the server waits for a client, in seconds.

    `head` is for all of a request's head, `body` for the next byte of its body, `reading` for the
    client to take something of a reply that fills the buffers.
    """

    head: float = 20.0
    body: float = 60.0
    reading: float = 300.0


class _Phase(enum.Enum):
    """What of a request the client has to send next."""

    BEGINNING = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


class _Refusal(Exception):
    """The request is refused before it reaches the application."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class BoundedProtocol(HttpToolsProtocol):
    """A connection; `limit`, `timeouts` and `sends_files` are set by `bounded_protocol`."""

    limit: ConnectionLimit
    timeouts: Timeouts
    sends_files: bool = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._phase = _Phase.BEGINNING
        self._n_head = self._n_body = self._n_framing = self._n_discarded = 0
        self._ends_message = False
        self._framing_after_upgrade = b""
        self._is_resuming = False
        self._is_refused = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """The IP address of the client."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the client, or refuse it when there are too many."""
        super().connection_made(transport)
        if self.limit.admit(self):
            self._expect(self.timeouts.head)
        else:
            self.transport.write(self._refusal(503, "too many connections"))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.limit.remove(self)
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._write_timer = None
        super().connection_lost(exc)

    def evict(self) -> None:
        """Close the connection at once: another client needs its place."""
        self.transport.abort()

    # What the client sends.

    def data_received(self, data: bytes) -> None:
        """Parse what has come, in parts of bounded size while it is a head."""
        if self._is_refused:
            self._discard(len(data), _MAX_DISCARDED_AFTER_REFUSAL)
            return
        self._unset_keepalive_if_required()
        if self._phase is _Phase.BEGINNING:
            self._expect(self.timeouts.head)
        elif self._phase is _Phase.BODY:
            self._deadline = self.loop.time() + self.timeouts.body
            self.limit.wait(self)
        try:
            while data and not self._is_refused:
                size = len(data) if self._phase is _Phase.BODY else _HEAD_PART
                self._parse(data[:size])
                data = data[size:]
        except _Refusal as e:
            self._refuse(e.status, str(e))
        except httptools.HttpParserError as e:
            refusal = e.__context__
            if isinstance(refusal, _Refusal):
                self._refuse(refusal.status, str(refusal))
            else:
                self._refuse(400, "the request is not valid HTTP")

    def _parse(self, part: bytes) -> None:
        phase, n_body = self._phase, self._n_body
        self._ends_message = False
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as e:
            self._resume_after_upgrade(part[e.args[0] :])
        if self._phase is _Phase.BODY:
            # Where a message ended, the rest of the part is the head of the next and its body.
            if phase is _Phase.BODY and not self._ends_message:
                self._n_framing += len(part) - (self._n_body - n_body)
            if self._n_framing > _MAX_FRAMING + _MAX_FRAMING_SHARE * self._n_body:
                raise _Refusal(400, "the body has too many bytes of chunk framing")
            return
        self._n_head = 0 if self._ends_message else self._n_head + len(part)
        if self._n_head > MAX_HEAD:
            if self._phase is _Phase.HEAD and len(self.url) > MAX_HEAD // 2:
                raise _Refusal(414, f"the request line is longer than {MAX_HEAD} bytes")
            raise _Refusal(431, f"the headers are larger than {MAX_HEAD} bytes")

    def _resume_after_upgrade(self, rest: bytes) -> None:
        """Parse the body of a request that asked for another protocol: it stays HTTP/1.1.

        The parser takes a body for data of the other protocol. A new one is told of a body that is
        framed like this one. Java's client asks for h2c with every request.
        """
        framing, self._framing_after_upgrade = self._framing_after_upgrade, b""
        if framing:
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._is_resuming = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
            self._is_resuming = False
        if rest:
            self._parse(rest)

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._is_resuming:
            return
        self._phase = _Phase.HEAD
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add to the request's URL."""
        if not self._is_resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers are ignored, as the checks of headers are over."""
        if self._phase is not _Phase.HEAD or self._is_resuming:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise _Refusal(431, f"the request has more than {MAX_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head and start to answer."""
        if self._is_resuming:
            return
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1:
            raise _Refusal(400, "the request has more than one Host header")
        if not hosts and self.parser.get_http_version() == "1.1":
            raise _Refusal(400, "the request has no Host header")
        if len(self.pipeline) >= MAX_PIPELINE:
            raise _Refusal(400, "too many requests were sent before their answers")
        if self.parser.should_upgrade():
            self._framing_after_upgrade = _framing(self.headers)
        self._phase = _Phase.BODY
        self._n_head = self._n_body = self._n_framing = self._n_discarded = 0
        self._expect(self.timeouts.body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on, or discard it if the request is answered already."""
        self._n_body += len(body)
        if self.cycle.response_complete:
            self._discard(len(body), _MAX_DISCARDED)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; the client has nothing more to send."""
        if self._framing_after_upgrade:
            return
        self._phase = _Phase.BEGINNING
        self._ends_message = True
        self._deadline = 0.0
        if self.cycle.response_complete:
            self.limit.wait(self)
        else:
            self.limit.work(self)
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = close_delimited(app, cycle)
        elif self.sends_files and is_possible(self.transport):
            app = zero_copy(app, cycle, read_timeout=self.timeouts.reading)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that nobody read."""
        if self._phase is not _Phase.HEAD:
            self.limit.wait(self)
        super().on_response_complete()

    # What the client does not do.

    def _expect(self, seconds: float) -> None:
        """Give the client so long to send what comes next."""
        self._deadline = self.loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_later(min(seconds, _MAX_DELAY), self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        if not self._deadline or self.transport.is_closing():
            return
        if self._phase is _Phase.BODY and self.flow.read_paused:
            # Not the client is slow: the application does not read.
            self._deadline = self.loop.time() + self.timeouts.body
        left = self._deadline - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(min(left, _MAX_DELAY), self._check_deadline)
        elif self._phase is _Phase.BEGINNING:
            self.transport.close()
        else:
            self._refuse(408, "the request did not arrive in time")

    def pause_writing(self) -> None:
        """Stop writing until the client has taken something of the reply."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.timeouts.reading, self.evict)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _discard(self, size: int, maximum: int) -> None:
        self._n_discarded += size
        if self._n_discarded > maximum:
            self.transport.abort()

    def _refuse(self, status: int, text: str) -> None:
        """Answer in the application's place, unless an answer is under way, and close."""
        self._is_refused = True
        self._deadline, self._n_discarded = 0.0, 0
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering:
            cycle.disconnected = True
            cycle.message_event.set()
        is_earlier_request = is_answering and self._phase is not _Phase.BODY
        if self.pipeline or is_earlier_request or (is_answering and cycle.response_started):
            self.transport.close()
            return
        self.transport.write(self._refusal(status, text))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # Closed at once, the connection would be reset, and the client might not see the answer.
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _refusal(self, status: int, text: str) -> bytes:
        """Log a refusal and return the answer."""
        record = RequestRecord(id=new_id(), client=self.address, status=status, error=text)
        log_request(record)
        return _reply(status, text, record.id)


def bounded_protocol(
    limit: ConnectionLimit, timeouts: Timeouts, *, sends_files: bool = False
) -> type[BoundedProtocol]:
    """Return the protocol of a server with these limits.

    With `sends_files`, the application may send files without reading them: see `zero_copy`.
    """
    attributes = {"limit": limit, "timeouts": timeouts, "sends_files": sends_files}
    return type("ServerProtocol", (BoundedProtocol,), attributes)


def _framing(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the headers that frame the body of a request, "" if it has none."""
    names = (b"content-length", b"transfer-encoding")
    return b"".join(b"%s: %s\r\n" % header for header in headers if header[0] in names)


def _reply(status: int, text: str, request_id: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
        f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return (head + text).encode()
