"""Replies without a body, as middleware sends them."""

from collections.abc import Iterable

from starlette.types import Send

Header = tuple[bytes, bytes]


async def send_empty(send: Send, status: int, headers: Iterable[Header] = ()) -> None:
    """Send a reply that has no body."""
    length = () if status == 204 else ((b"content-length", b"0"),)
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b""})
