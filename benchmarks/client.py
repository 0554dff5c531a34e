"""A client that costs next to nothing: it shares the machine with the server that it measures."""

import asyncio
import itertools
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec


@dataclass(frozen=True, slots=True)
class Stream:
    """When the chunks of an answer came, in seconds since the request, and its last object."""

    times: tuple[float, ...]
    last: dict[str, Any]

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0]

    @property
    def wall(self) -> float:
        """Seconds to the end."""
        return self.times[-1]

    @property
    def n_tokens(self) -> int:
        """How many tokens were generated."""
        return int(self.last["eval_count"])

    @property
    def rate(self) -> float:
        """Tokens per second after the first token."""
        return (self.n_tokens - 1) / (self.wall - self.first)


class Client:
    """One HTTP/1.1 request per connection; safe for many requests at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 11434

    async def pieces(
        self, model: str, prompt: str, n_predict: int, **more: Any
    ) -> AsyncIterator[bytes]:
        """Yield the lines of an answer of `n_predict` tokens; `more` goes into the request."""
        body = _body(model, prompt, n_predict, more)
        async for line in self._lines("POST", "/api/generate", body):
            yield line

    async def generate(self, model: str, prompt: str, n_predict: int, **more: Any) -> Stream:
        """Stream an answer of `n_predict` tokens; `more` goes into the request.

        What comes is only noted, and read when all is there.
        """
        body = _body(model, prompt, n_predict, more)
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        recorder = _Recorder(self._request("POST", "/api/generate", body))
        await loop.create_connection(lambda: recorder, self._host, self._port)
        await recorder.closed.wait()
        lines = recorder.lines()
        last = msgspec.json.decode(lines[-1][1])
        if not last.get("done"):
            raise RuntimeError(f"the stream ended with {last}")
        return Stream(tuple(at - started for at, _ in lines), last)

    async def post(self, path: str, body: object) -> Any:
        """Return the answer to a POST that is one JSON value."""
        return await self._whole("POST", path, body)

    async def get(self, path: str) -> Any:
        """Return the answer to a GET."""
        return await self._whole("GET", path, None)

    async def _whole(self, method: str, path: str, body: object) -> Any:
        return msgspec.json.decode(
            b"".join([part async for part in self._lines(method, path, body)])
        )

    async def _lines(self, method: str, path: str, body: object) -> AsyncIterator[bytes]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=1 << 26)
        try:
            writer.write(self._request(method, path, body))
            status = int((await reader.readline()).split()[1])
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            parts = _chunks(reader) if b"chunked" in headers else _rest(reader)
            async for part in parts:
                if status != 200:
                    raise RuntimeError(f"{method} {path}: {status} {part!r}")
                for line in part.splitlines(keepends=True):
                    yield line
        finally:
            writer.close()

    def _request(self, method: str, path: str, body: object) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


class _Recorder(asyncio.Protocol):
    """Sends a request, and notes when each part of the reply came."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parts: list[tuple[float, bytes]] = []
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parts.append((time.perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def lines(self) -> list[tuple[float, bytes]]:
        """Return the lines of the reply, and when each was complete; raises for an error."""
        ends = list(itertools.accumulate(len(part) for _, part in self._parts))
        data = b"".join(part for _, part in self._parts)
        head, _, body = data.partition(b"\r\n\r\n")
        if head.split(maxsplit=2)[1:2] != [b"200"] or b"chunked" not in head.lower():
            raise RuntimeError(f"the reply is {data[:1000]!r}")
        lines: list[tuple[float, bytes]] = []
        at = len(data) - len(body)
        while size := int(data[at : (start := data.index(b"\r\n", at) + 2)], 16):
            at = start + size + 2
            came = self._parts[bisect_left(ends, at)][0]
            lines += [(came, line) for line in data[start : at - 2].splitlines()]
        return lines


def _body(model: str, prompt: str, n_predict: int, more: dict[str, Any]) -> dict[str, Any]:
    options = {"num_predict": n_predict, "seed": 1, **more.pop("options", {})}
    return {"model": model, "prompt": prompt, "raw": True, "options": options, **more}


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _rest(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    yield await reader.read(-1)
