"""Hand one request to a peer, and pass its answer on byte for byte."""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

import httpx2
from starlette.types import Message, Scope, Send

from server.anthropic.framing import MessageFraming
from server.errors import PeerLost
from server.http.envelopes import anthropic_envelope, envelope_for
from server.http.sse import EVENTS_TYPE
from server.http.streaming import LINES_TYPE, Framing, JSONLines, error_response, reported
from server.openai.framing import FRAMING
from server.peers.directory import PeerDirectory
from server.peers.peer import Peer
from server.peers.protocol import PEER_HEADER
from server.request_record import Phase, current

_OWN = frozenset(
    "host connection keep-alive transfer-encoding content-length te trailer upgrade expect "
    "proxy-authorization proxy-connection origin x-request-id".split()
)
"""Headers of requests that are about the client's connection, or set anew."""
_KEYS = frozenset({"authorization", "x-api-key"})
_OF_CONNECTION = frozenset(
    "connection keep-alive transfer-encoding date server x-request-id".split()
)
_ELSEWHERE = (404, 503)
"""Statuses by which a peer says that another one may have the model, or room for it."""


class PeerUnavailable(Exception):
    """The peer did not begin to answer, so another one can be tried."""


class Forwarding:
    """One request on its way to peers; `is_begun` once a part of an answer was sent."""

    def __init__(self, directory: PeerDirectory, scope: Scope, body: bytes, send: Send) -> None:
        self._directory, self._scope, self._body, self._send = directory, scope, body, send
        self.is_begun = False

    async def try_peer(self, peer: Peer, *, is_last: bool) -> None:
        """Let `peer` answer; a request that is cancelled by the server ends with an error.

        Raises:
            PeerUnavailable: it did not begin to answer; unless `is_last`, also when it refers to
                others with 404 or 503.
        """
        content_type = ""
        try:
            async with asyncio.timeout(None) as deadline:
                with peer.running(deadline):
                    async with self._request(peer) as response:
                        if response.status_code in _ELSEWHERE and not is_last:
                            raise PeerUnavailable
                        content_type = response.headers.get("content-type", "")
                        await self._pass_on(response, content_type)
        except (httpx2.HTTPError, TimeoutError) as e:
            if not self.is_begun:
                raise PeerUnavailable from e
            await self._end(_framing(self._scope, content_type), PeerLost())
        except asyncio.CancelledError as e:
            error = reported(e, self._scope)
            if self.is_begun:
                await self._end(_framing(self._scope, content_type), error)
            else:
                reply = error_response(error, envelope=envelope_for(self._scope))
                await reply(self._scope, _no_more, self._send)

    def _request(self, peer: Peer) -> AbstractAsyncContextManager[httpx2.Response]:
        scope = self._scope
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        url = f"{peer.url}{path}{'?' if query else ''}{query}"
        return self._directory.client.stream(
            scope["method"], url, headers=self._headers(), content=self._body
        )

    def _headers(self) -> list[tuple[str, str]]:
        headers = [
            (name, text)
            for name, text in _decoded(self._scope["headers"])
            if name not in _OWN and (name not in _KEYS or self._directory.config.forwards_keys)
        ]
        if not any(name == "accept-encoding" for name, _ in headers):
            headers.append(("accept-encoding", "identity"))
        headers += [(PEER_HEADER, self._directory.id), ("x-request-id", current().id)]
        if not self._directory.config.forwards_keys:
            headers += self._directory.key_header().items()
        return headers

    async def _pass_on(self, response: httpx2.Response, content_type: str) -> None:
        headers = [
            (name.encode("latin-1"), text.encode("latin-1"))
            for name, text in response.headers.multi_items()
            if name.lower() not in _OF_CONNECTION
        ]
        start: Message = {
            "type": "http.response.start", "status": response.status_code, "headers": headers
        }  # fmt: skip
        if not content_type.startswith((LINES_TYPE, EVENTS_TYPE)):
            # As a whole: a part of a JSON object is no answer.
            body = b"".join([part async for part in response.aiter_raw()])
            self.is_begun = True
            await self._send(start)
            await self._send({"type": "http.response.body", "body": body})
            return
        current().phase = Phase.DECODE
        parts = response.aiter_raw()
        first = await anext(parts, b"")
        self.is_begun = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": first, "more_body": True})
        async for part in parts:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _end(self, framing: Framing, error: Exception) -> None:
        """End a stream with an error in the form of its API."""
        body = framing.failure(error)
        await self._send({"type": "http.response.body", "body": body})


async def _no_more() -> Message:
    return {"type": "http.disconnect"}


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), text.decode("latin-1")) for name, text in headers]


def _framing(scope: Scope, content_type: str) -> Framing:
    if content_type.startswith(LINES_TYPE):
        return JSONLines()
    return MessageFraming() if envelope_for(scope) is anthropic_envelope else FRAMING
