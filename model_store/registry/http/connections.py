"""Connection pools that check the resolved address at connect, and read in large pieces."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from model_store.registry.http.addresses import Address, IsPublic, parsed_address

_READ_SIZE = 1 << 18
_LARGE_WRITE = 1 << 16
_IDLE_CONNECTIONS = 32
_IDLE_SECONDS = 30.0


class InnerAddress(Exception):
    """A name resolves to this machine or its network, where a public server may not send us."""


class _LargeReadStream(httpcore2.AsyncNetworkStream):
    """A connection that reads much at once: a read costs the same, whatever it brings."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max(max_bytes, _READ_SIZE), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if len(buffer) >= _LARGE_WRITE and self._inner.get_extra_info("is_readable"):
            # The response came before the whole body was sent: an error, or a redirect.
            raise httpcore2.WriteError("the server responded before the request was complete")
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        return _LargeReadStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects; with `allowed`, only to addresses that it accepts.

    A name is resolved once: the connection goes to the very address that was checked.
    """

    def __init__(self, allowed: IsPublic | None) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        hosts = [host] if self._allowed is None else await self._resolve(host, port)
        for address in hosts[:-1]:
            try:
                return await self._connect(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._connect(hosts[-1], port, timeout, local_address, socket_options)

    async def _connect(self, host: str, *rest: Any) -> httpcore2.AsyncNetworkStream:
        return _LargeReadStream(await self._inner.connect_tcp(host, *rest))

    async def _resolve(self, host: str, port: int) -> list[str]:
        assert self._allowed is not None
        loop = asyncio.get_running_loop()
        try:
            entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as e:
            raise httpcore2.ConnectError(str(e)) from e
        addresses = [str(entry[4][0]) for entry in entries]
        for text in addresses:
            address = parsed_address(text)
            if address is None or not self._allowed(address):
                raise InnerAddress(host)
        return addresses


class ConnectionPool(httpx2.AsyncHTTPTransport):
    """A pool of connections to any host; with `allowed`, only to addresses that it accepts."""

    def __init__(
        self, context: ssl.SSLContext, *, proxy: str = "", allowed: IsPublic | None = None
    ) -> None:
        limits = httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
        )
        super().__init__(context, proxy=proxy or None, limits=limits, trust_env=False)
        if not proxy:
            # The class has no argument for the network backend.
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=context,
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_keepalive_connections,
                keepalive_expiry=limits.keepalive_expiry,
                network_backend=_CheckedBackend(allowed),
            )


def peer_of(response: httpx2.Response) -> Address | None:
    """Return the address that `response` came from, None if it is not known."""
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    return parsed_address(str(peer[0])) if peer else None
