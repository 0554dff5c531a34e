"""HTTP requests to registries: redirects, proxies, certificates, and where credentials may go."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

import httpx2

from model_store.registry.config import RegistryConfig
from model_store.registry.errors import InvalidResponse
from model_store.registry.http.addresses import AddressPolicy, IsPublic, Resolve, is_public, resolve
from model_store.registry.http.connections import ConnectionPool, peer_of
from model_store.registry.http.proxies import proxy_for
from model_store.registry.http.response import Response, network_errors
from model_store.registry.http.urls import origin_of, parse_url

CONNECT_SECONDS = 20.0
STALL_SECONDS = 30.0
"""How long a response may go without a byte."""

_MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)

Content = bytes | AsyncIterator[bytes]


class Transport:
    """Sends requests; one for the life of the server, for all registries.

    A registry that responds from a public address, or through a proxy, cannot redirect us to an
    address that is not public.
    """

    def __init__(
        self,
        config: RegistryConfig,
        *,
        public: IsPublic = is_public,
        resolve: Resolve = resolve,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._config = config
        self._policy = AddressPolicy(config.all_allowed, public, resolve)
        self._timeout = httpx2.Timeout(
            connect=CONNECT_SECONDS, read=stall_seconds, write=stall_seconds, pool=None
        ).as_dict()
        self._certificates: ssl.SSLContext | None = None
        self._pools: dict[tuple[str, str, bool], ConnectionPool] = {}

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: httpx2.URL,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: str = "",
        content: Content | None = None,
        follow: bool = True,
        public_only: bool = False,
    ) -> AsyncIterator[Response]:
        """Send a request; its response can be read inside the block.

        `authorization` is sent to the origin of `url` alone. Redirects are followed with
        `follow`, and never from HTTPS to HTTP. With `public_only`, only public addresses and
        allowed registries are connected to.

        Raises:
            AddressRefused: the address policy forbids the connection.
            RegistryUnreachable: there is no response.
            InvalidResponse: it redirects to where we do not go.
        """
        first, target = url, url
        for _ in range(_MAX_REDIRECTS + 1):
            fields = dict(headers or {})
            if authorization and origin_of(target) == origin_of(first):
                fields["Authorization"] = authorization
            raw = await self._send(method, target, fields, content, public_only=public_only)
            try:
                response = Response(raw, target, public_only or self._is_from_public(raw, target))
                if not follow or response.status not in _REDIRECTS:
                    yield response
                    return
                location = _location(response)
                if origin_of(location) != origin_of(target):
                    public_only = response.public_only
                target = location
            finally:
                await _close(raw)
        raise InvalidResponse(f"{first.host} redirects more than {_MAX_REDIRECTS} times")

    async def _send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        content: Content | None,
        *,
        public_only: bool,
    ) -> httpx2.Response:
        request = httpx2.Request(
            method,
            url,
            headers={
                "User-Agent": self._config.user_agent,
                "Accept-Encoding": "identity",
                **headers,
            },
            content=content,
            extensions={"timeout": self._timeout},
        )
        with network_errors(url.host):
            pool = await self._pool(url, public_only=public_only)
            return await pool.handle_async_request(request)

    async def _pool(self, url: httpx2.URL, *, public_only: bool) -> ConnectionPool:
        proxy = self._proxy(url)
        if proxy:
            _, host, port = origin_of(url)
            await self._policy.check_proxied(host, port, public_only=public_only)
        key = (url.scheme, proxy, public_only)
        if key not in self._pools:
            context = await self._context(url.scheme)
            pool = ConnectionPool(
                context, proxy=proxy, policy=self._policy, public_only=public_only
            )
            self._pools.setdefault(key, pool)
        return self._pools[key]

    def _proxy(self, url: httpx2.URL) -> str:
        _, host, port = origin_of(url)
        return proxy_for(self._config.proxies, url.scheme, host, port)

    def _is_from_public(self, response: httpx2.Response, url: httpx2.URL) -> bool:
        peer = peer_of(response)
        return bool(self._proxy(url)) or peer is None or self._policy.is_public(peer)

    async def _context(self, scheme: str) -> ssl.SSLContext:
        if scheme == "http":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._certificates is None:
            # Reading all certificates of the system takes as long as a hundred requests.
            self._certificates = await asyncio.to_thread(_certificates, self._config)
        return self._certificates


def _location(response: Response) -> httpx2.URL:
    target = parse_url(response.headers.get("location", ""), base=response.url)
    if response.url.scheme == "https" and target.scheme != "https":
        raise InvalidResponse(f"{response.url.host} redirects from HTTPS to plain HTTP")
    return target


def _certificates(config: RegistryConfig) -> ssl.SSLContext:
    context = httpx2.create_ssl_context(trust_env=False)
    if config.ca_file is not None:
        try:
            context.load_verify_locations(config.ca_file)
        except (OSError, ssl.SSLError) as e:
            raise InvalidResponse("the certificates in SSL_CERT_FILE cannot be read") from e
    return context


async def _close(response: httpx2.Response) -> None:
    with contextlib.suppress(httpx2.HTTPError):
        await response.aclose()
