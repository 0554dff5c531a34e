"""Requests over connections that their clients can close at any moment."""

import asyncio
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from tests.support.application import Server

Message = MutableMapping[str, Any]


class Call:
    """One request over a connection that its client can close at any moment."""

    def __init__(self, server: Server, path: str, body: bytes, *, more: bool = False) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})
        self._answered = asyncio.Event()
        self.sent: list[Message] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
        }
        self._served = asyncio.ensure_future(server.app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self._answered.set()

    async def begun(self) -> None:
        """Wait for the first bytes of the answer."""
        await asyncio.wait_for(self._answered.wait(), 20)

    async def hang_up(self) -> None:
        """Close the connection, and wait until the server is done with it."""
        self._incoming.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(self._served, 20)

    def __await__(self) -> Iterator[Any]:
        """Wait for the end of the answer."""
        return asyncio.wait_for(self._served, 20).__await__()


def call(server: Server, path: str, **fields: Any) -> Call:
    return Call(server, path, json.dumps({"model": "base", **fields}).encode())
