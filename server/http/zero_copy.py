"""Send files to sockets with sendfile: ASGI's extension `http.response.zerocopysend` for uvicorn.

The bytes go from the page cache to the socket and are never Python objects. Each call runs in a
worker thread, as it may read the disk, and sends what fits into the socket's buffer; a client that
reads slowly holds no thread. Over TLS the extension is not offered, because bytes are encrypted by
the process.
"""

import asyncio
import itertools
import os
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server.concurrency.threads import in_thread

EXTENSION: Final = "http.response.zerocopysend"
_MAX_PER_CALL = 16 << 20
_FLUSH_DELAYS = (0.0,) * 8
_SLOW_FLUSH_DELAY = 0.01


def is_possible(transport: asyncio.Transport) -> bool:
    """Return whether files can be sent to the socket of `transport` by the kernel."""
    return hasattr(os, "sendfile") and transport.get_extra_info("sslcontext") is None


def zero_copy(app: ASGIApp, cycle: RequestResponseCycle, *, read_timeout: float) -> ASGIApp:
    """Return `app` with the extension.

    A client that takes nothing for `read_timeout` seconds is disconnected.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] != EXTENSION:
                await send(message)
                return
            if not cycle.disconnected and not await _is_sent(cycle, message, read_timeout):
                return
            # Counted here, as uvicorn does not see the bytes.
            cycle.expected_content_length -= message["count"]
            more_body = message.get("more_body", False)
            await send({"type": "http.response.body", "body": b"", "more_body": more_body})

        extensions = {**(scope.get("extensions") or {}), EXTENSION: {}}
        await app({**scope, "extensions": extensions}, receive, forward)

    return serve


async def _is_sent(cycle: RequestResponseCycle, message: Message, read_timeout: float) -> bool:
    """Send a part of a file; return False when the connection has ended instead."""
    try:
        await _send_file(cycle.transport, message, read_timeout)
    except (OSError, asyncio.CancelledError) as e:
        # What was announced cannot come any more; only the end of the connection says so.
        cycle.disconnected = True
        cycle.transport.abort()
        if not isinstance(e, OSError):
            raise
        return False
    return True


async def _send_file(transport: asyncio.Transport, message: Message, read_timeout: float) -> None:
    """Send `count` bytes of the file descriptor `file` from `offset`.

    Raises:
        OSError: the client is gone, reads nothing, or the file has become shorter.
    """
    file, offset, count = message["file"], message["offset"], message["count"]
    async with asyncio.timeout(read_timeout):
        await _flush(transport)
    # A descriptor of its own stays valid while a thread uses it, whoever closes the connection.
    sock = os.dup(transport.get_extra_info("socket").fileno())
    try:
        while count:
            sent = await in_thread(_send_some, sock, file, offset, min(count, _MAX_PER_CALL))
            offset, count = offset + sent, count - sent
            if count:
                async with asyncio.timeout(read_timeout):
                    await _writable(sock)
    finally:
        os.close(sock)


async def _flush(transport: asyncio.Transport) -> None:
    """Wait until the head of the response has left the buffer of the transport."""
    delays = itertools.chain(_FLUSH_DELAYS, itertools.repeat(_SLOW_FLUSH_DELAY))
    while transport.get_write_buffer_size():  # noqa: ASYNC110 - transports tell nobody
        await asyncio.sleep(next(delays))
    if transport.is_closing():
        raise ConnectionResetError


def _send_some(sock: int, file: int, offset: int, count: int) -> int:
    """Send until the socket's buffer is full; return the number of bytes. Raises OSError."""
    total = 0
    while total < count:
        try:
            sent = os.sendfile(sock, file, offset + total, count - total)
        except BlockingIOError:
            break
        if not sent:
            raise OSError("the file has become shorter")
        total += sent
    return total


async def _writable(sock: int) -> None:
    """Wait until the socket takes more bytes, or has failed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(sock)
