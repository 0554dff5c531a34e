"""Connection pools that check the resolved address at connect, and read in large pieces."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore2
import httpx2

from model_store.registry.http.addresses import Address, AddressPolicy, parsed_address

_READ_SIZE = 1 << 18
_LARGE_WRITE = 1 << 16
_IDLE_CONNECTIONS = 32
_IDLE_SECONDS = 30.0
_NEXT_ADDRESS_SECONDS = 0.25

Connect = Callable[[str], Awaitable[httpcore2.AsyncNetworkStream]]


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
    """Connects to addresses that the policy permits.

    A host is resolved once: the connection goes to the very address that was checked.
    """

    def __init__(self, policy: AddressPolicy, *, public_only: bool) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._policy, self._public_only = policy, public_only

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._policy.addresses(host, port, public_only=self._public_only)
        except OSError as e:
            raise httpcore2.ConnectError(str(e)) from e

        async def connect(address: str) -> httpcore2.AsyncNetworkStream:
            return await self._inner.connect_tcp(
                address, port, timeout, local_address, socket_options
            )

        return _LargeReadStream(await _first(connect, addresses))


async def _first(connect: Connect, addresses: Sequence[str]) -> httpcore2.AsyncNetworkStream:
    """Return the first connection that succeeds; the addresses are tried shortly after another."""
    waiting, running = list(addresses), set[asyncio.Task[httpcore2.AsyncNetworkStream]]()
    error: BaseException = httpcore2.ConnectError("the host has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(connect(waiting.pop(0))))
            done, _ = await asyncio.wait(
                running,
                timeout=_NEXT_ADDRESS_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                running.remove(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                error = failure
        raise error
    finally:
        for task in running:
            task.cancel()
        for late in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(late, httpcore2.AsyncNetworkStream):
                await late.aclose()


class ConnectionPool(httpx2.AsyncHTTPTransport):
    """A pool of connections to any host, through `proxy` or to addresses that `policy` permits."""

    def __init__(
        self, context: ssl.SSLContext, *, proxy: str, policy: AddressPolicy, public_only: bool
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
                network_backend=_CheckedBackend(policy, public_only=public_only),
            )


def peer_of(response: httpx2.Response) -> Address | None:
    """Return the address that `response` came from, None if it is not known."""
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    return parsed_address(str(peer[0])) if peer else None
