"""Replies with the content of a file: ranges, HEAD, ETag, and sendfile where the server has it."""

import asyncio
import os
import re
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.concurrency.threads import in_thread
from server.http.streaming import cancel_on_disconnect
from server.http.zero_copy import EXTENSION

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_READ_SIZE = 1 << 20


class Span(NamedTuple):
    """The bytes `start` to `end` (not included) of a file."""

    start: int
    end: int


def requested_span(header: str, size: int) -> Span | None:
    """Return the part of a file that a Range header requests, the whole without one.

    A header that is not understood, or has several ranges, is ignored, as RFC 9110 allows. None
    means that the file has no such part.
    """
    match = _RANGE.match(header.strip())
    if match is None or not any(match.groups()):
        return Span(0, size)
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return Span(size - length, size) if length else None
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return Span(0, size)
    return Span(start, end) if start < size else None


class FileReply(Response):
    """The reply with an opened file, which it closes; `etag` names the content."""

    def __init__(
        self,
        file: BinaryIO,
        *,
        etag: str,
        request_headers: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._file = file
        size = os.fstat(file.fileno()).st_size
        self._span = Span(0, 0)
        self.raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._add("etag", etag)
        self._add("accept-ranges", "bytes")
        if etag in request_headers.get("if-none-match", ""):
            self.status_code = 304
            return
        is_same = request_headers.get("if-range", etag) == etag
        span = requested_span(request_headers.get("range", "") if is_same else "", size)
        if span is None:
            self.status_code = 416
            self._add("content-range", f"bytes */{size}")
            self._add("content-length", "0")
            return
        self._span = span
        self._add("content-length", str(span.end - span.start))
        if span != (0, size):
            self.status_code = 206
            self._add("content-range", f"bytes {span.start}-{span.end - 1}/{size}")

    def _add(self, name: str, value: str) -> None:
        self.raw_headers.append((name.encode(), value.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; stops when the client disconnects."""
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(self._send(scope, send))
            watch = tasks.create_task(cancel_on_disconnect(receive, answer))
            answer.add_done_callback(lambda _: watch.cancel())

    async def _send(self, scope: Scope, send: Send) -> None:
        with self._file:
            start, end = self._span
            await send({
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            })  # fmt: skip
            if scope["method"] == "HEAD" or start == end:
                pass
            elif EXTENSION in (scope.get("extensions") or {}):
                file = self._file.fileno()
                message = {"file": file, "offset": start, "count": end - start}
                await send({"type": EXTENSION, **message, "more_body": True})
            else:
                await self._copy(start, end, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _copy(self, start: int, end: int, send: Send) -> None:
        """Read the file in a thread and send it: for servers and connections without sendfile."""
        while start < end:
            size = min(_READ_SIZE, end - start)
            data = await in_thread(os.pread, self._file.fileno(), size, start)
            if not data:
                raise OSError("the file has become shorter")
            await send({"type": "http.response.body", "body": data, "more_body": True})
            start += len(data)
