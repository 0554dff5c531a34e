"""Requests spoken to an ASGI application by hand: any header, any path, any moment to hang up."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Reply:
    """A whole answer; header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return the values of every header called `name`."""
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str | None:
        """Return the value of the only header called `name`, None if there is none."""
        values = self.all(name)
        assert len(values) <= 1
        return values[0] if values else None


class Client:
    """The other end of one request: sends `parts` as its body, hangs up when `gone` is set."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = deque(parts or (b"",))
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._parts:
            part = self._parts.popleft()
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def bodies(self) -> list[bytes]:
        """The pieces of the answer's body that were sent so far, empty ones left out."""
        return [body for message in self.sent if (body := message.get("body", b""))]

    @property
    def is_answered(self) -> bool:
        """Whether the answer is complete."""
        return bool(self.sent) and not self.sent[-1].get("more_body", "status" in self.sent[-1])

    @property
    def reply(self) -> Reply:
        """The answer, which must be complete."""
        assert self.is_answered
        start = self.sent[0]
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
        )
        return Reply(start["status"], headers, b"".join(self.bodies))


def http_scope(
    path: str = "/api/tags",
    *,
    method: str = "GET",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
) -> Scope:
    """Return what a server tells of a request; `path` is as it was sent, not decoded."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }


async def ask(
    app: ASGIApp,
    path: str = "/api/tags",
    *,
    method: str = "GET",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
) -> Reply:
    """Return the answer of `app` to a request without a body."""
    client = Client()
    scope = http_scope(path, method=method, query=query, headers=headers)
    await app(scope, client.receive, client.send)
    return client.reply


async def say_ok(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers every request alike; middleware is put around it."""
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in other tasks; raises TimeoutError when it never does."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError
