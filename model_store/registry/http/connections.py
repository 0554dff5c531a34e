"""Connections: which addresses may be reached, and reads that are worth their cost."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2
import httpx2

_READ_SIZE = 1 << 18
_LARGE_WRITE = 1 << 16
_KEPT_CONNECTIONS = 32
_KEPT_SECONDS = 30.0
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IsPublic = Callable[[Address], bool]


class InnerAddress(Exception):
    """A name leads to this machine or its network, where nobody outside may send us."""


def is_public(address: Address) -> bool:
    """Tell whether everybody can reach `address`, so that it is nobody's secret.

    One that a gateway would turn into any address of the other kind is not.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address in _TRANSLATED:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def parsed_address(text: str) -> Address | None:
    """Return the IP address that `text` is, None if it is a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection from which much is read at once: a read costs the same, whatever it brings."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max(max_bytes, _READ_SIZE), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if len(buffer) >= _LARGE_WRITE and self._inner.get_extra_info("is_readable"):
            # The answer is there before all was sent: a refusal, or the address of another server.
            raise httpcore2.WriteError("the server has answered already")
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.AsyncNetworkBackend):
    """Connects; with `allowed`, only to addresses that it accepts.

    A name is looked up once: the connection goes to the very address that was looked at.
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
        hosts = [host] if self._allowed is None else await self._looked_up(host, port)
        for found in hosts[:-1]:
            try:
                return await self._connect(found, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._connect(hosts[-1], port, timeout, local_address, socket_options)

    async def _connect(self, host: str, *rest: Any) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.connect_tcp(host, *rest))

    async def _looked_up(self, host: str, port: int) -> list[str]:
        assert self._allowed is not None
        loop = asyncio.get_running_loop()
        try:
            entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as e:
            raise httpcore2.ConnectError(str(e)) from e
        found = [str(entry[4][0]) for entry in entries]
        for text in found:
            address = parsed_address(text)
            if address is None or not self._allowed(address):
                raise InnerAddress(host)
        return found


class Connections(httpx2.AsyncHTTPTransport):
    """A pool of connections to any host; with `allowed`, only to addresses that it accepts."""

    def __init__(
        self, context: ssl.SSLContext, *, proxy: str = "", allowed: IsPublic | None = None
    ) -> None:
        limits = httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_SECONDS,
        )
        super().__init__(context, proxy=proxy or None, limits=limits, trust_env=False)
        if not proxy:
            # The one thing that the class takes no argument for.
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=context,
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_keepalive_connections,
                keepalive_expiry=limits.keepalive_expiry,
                network_backend=_Backend(allowed),
            )


def peer_of(response: httpx2.Response) -> Address | None:
    """Return the address that `response` came from, None if it is not known."""
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("server_addr") if stream is not None else None
    return parsed_address(str(found[0])) if found else None
