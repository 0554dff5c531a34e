"""Replies to HTTP/1.0 clients: their end is the end of the connection, as they know no chunks."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def close_delimited(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """Return `app` with replies that are not chunked; uvicorn closes after each of HTTP/1.0."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                cycle.chunked_encoding = False
            else:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, forward)

    return serve
