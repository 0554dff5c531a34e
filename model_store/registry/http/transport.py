"""Requests to registries: redirects, proxies and certificates, and no credential that strays."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import httpx2

from model_store.registry.config import RegistryConfig
from model_store.registry.errors import (
    AccessDenied,
    AnswerInvalid,
    NotInRegistry,
    RegistryBusy,
    RegistryRefused,
    RegistryUnreachable,
)
from model_store.registry.http.bounded_read import LARGEST_REFUSAL, read_within
from model_store.registry.http.connections import (
    Connections,
    InnerAddress,
    IsPublic,
    is_public,
    parsed_address,
    peer_of,
)
from model_store.registry.http.proxies import proxy_for

CONNECT_SECONDS = 20.0
STALL_SECONDS = 30.0
"""How long an answer may go without a byte."""

_MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_TRY_LATER = (429, 503)
_Origin = tuple[str, str, int]

_REASONS: dict[type[BaseException], str] = {
    socket.gaierror: "there is no such host",
    ConnectionRefusedError: "nothing listens there",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: 'it does not speak HTTPS ("insecure": true asks without)',
    httpx2.ProxyError: "the proxy refuses",
}
"""What to tell of the first of these that is found among the causes of an error."""

Content = bytes | AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    `sends_outside` tells that it came from a public address, or that such a server sent us to it:
    requests to where it points, or to `url` again, must keep away from inner addresses.
    """

    response: httpx2.Response
    url: httpx2.URL
    sends_outside: bool

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> httpx2.Headers:
        """The headers."""
        return self.response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it came; raises RegistryUnreachable when the connection breaks."""
        stream = self.response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        with network_errors(self.url.host):
            async for chunk in stream:
                yield chunk

    async def read(self, limit: int) -> bytes:
        """Return the whole body, of at most `limit` bytes; raises AnswerInvalid."""
        encoding = self.headers.get("content-encoding", "").lower()
        return await read_within(self.chunks(), encoding, limit)

    async def check(self) -> None:
        """Raise the error that the status means, if it means one.

        Raises:
            RegistryRefused: it does; one of the more exact kinds where there is one.
        """
        if self.status < 400:
            return
        try:
            body = (await self.read(LARGEST_REFUSAL)).decode("utf-8", "replace")
        except (AnswerInvalid, RegistryUnreachable):
            body = ""
        if self.status == 401:
            raise AccessDenied
        if self.status == 404:
            raise NotInRegistry
        wait = _seconds(self.headers.get("retry-after", ""))
        if self.status in _TRY_LATER or wait is not None:
            raise RegistryBusy(self.status, body, wait)
        raise RegistryRefused(self.status, body)


class Transport:
    """Sends requests; one for the life of the server, for as many registries as there are.

    A registry that answers from a public address cannot send us on to an inner one: neither to
    this machine nor to its network. `public` is which addresses count as public.
    """

    def __init__(
        self,
        config: RegistryConfig,
        *,
        public: IsPublic = is_public,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._config, self._public = config, public
        self._timeout = httpx2.Timeout(
            connect=CONNECT_SECONDS, read=stall_seconds, write=stall_seconds, pool=None
        ).as_dict()
        self._certificates: ssl.SSLContext | None = None
        self._pools: dict[str, Connections] = {}

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
        is_sent_on: bool = False,
    ) -> AsyncIterator[Answer]:
        """Send a request; its answer can be read inside the block.

        `authorization` goes to the origin of `url` alone. Redirects are followed where `follow`
        says so, and never from HTTPS to HTTP.

        Raises:
            RegistryUnreachable: there is no answer.
            AnswerInvalid: it sends us where we do not go.
        """
        first, target = url, url
        for _ in range(_MAX_REDIRECTS + 1):
            given = dict(headers or {})
            if authorization and _origin(target) == _origin(first):
                given["Authorization"] = authorization
            response = await self._send(method, target, given, content, is_sent_on=is_sent_on)
            try:
                peer = peer_of(response)
                sends_outside = is_sent_on or (peer is not None and self._public(peer))
                answer = Answer(response, target, sends_outside)
                if not follow or answer.status not in _REDIRECTS:
                    yield answer
                    return
                onward = self._onward(answer)
                is_sent_on = is_sent_on or (sends_outside and _origin(onward) != _origin(target))
                target = onward
            finally:
                await _close(response)
        raise AnswerInvalid(f"{first.host} redirects in circles")

    async def _send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        content: Content | None,
        *,
        is_sent_on: bool,
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
            pool = await self._pool(url, is_sent_on=is_sent_on)
            return await pool.handle_async_request(request)

    async def _pool(self, url: httpx2.URL, *, is_sent_on: bool) -> Connections:
        _, host, port = _origin(url)
        proxy = proxy_for(self._config.proxies, url.scheme, host, port)
        literal = parsed_address(host)
        if is_sent_on and literal is not None and not self._public(literal):
            raise InnerAddress(host)
        # A proxy looks names up itself, and what it may reach is its owner's business.
        guarded = is_sent_on and not proxy
        key = f"guarded {guarded} {url.scheme} {proxy}"
        if key not in self._pools:
            allowed = self._public if guarded else None
            context = await self._context(url.scheme)
            self._pools.setdefault(key, Connections(context, proxy=proxy, allowed=allowed))
        return self._pools[key]

    async def _context(self, scheme: str) -> ssl.SSLContext:
        if scheme == "http":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._certificates is None:
            # Reading all certificates of the system takes as long as a hundred requests.
            self._certificates = await asyncio.to_thread(_certificates, self._config)
        return self._certificates

    def _onward(self, answer: Answer) -> httpx2.URL:
        location = answer.headers.get("location", "")
        target = url_of(location, base=answer.url)
        if answer.url.scheme == "https" and target.scheme != "https":
            raise AnswerInvalid(f"{answer.url.host} redirects to a connection without encryption")
        return target


def url_of(text: str, *, base: httpx2.URL | None = None) -> httpx2.URL:
    """Read the URL of a server; raises AnswerInvalid."""
    try:
        url = base.join(text) if base else httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise AnswerInvalid("the registry names an address that is none") from None
    if not text or url.scheme not in _PORTS or not url.host:
        raise AnswerInvalid("the registry names an address that is none")
    # What stands before an @ would be sent as a credential.
    return url.copy_with(username=None, password=None, fragment=None)


def _origin(url: httpx2.URL) -> _Origin:
    return url.scheme, url.host.lower(), url.port or _PORTS[url.scheme]


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _certificates(config: RegistryConfig) -> ssl.SSLContext:
    context = httpx2.create_ssl_context(trust_env=False)
    if config.ca_file is not None:
        try:
            context.load_verify_locations(config.ca_file)
        except (OSError, ssl.SSLError) as e:
            raise AnswerInvalid("the certificates in SSL_CERT_FILE cannot be read") from e
    return context


async def _close(response: httpx2.Response) -> None:
    with contextlib.suppress(httpx2.HTTPError):
        await response.aclose()


@contextlib.contextmanager
def network_errors(host: str) -> Iterator[None]:
    """Say in our own words why `host` could not be reached."""
    try:
        yield
    except InnerAddress:
        raise AnswerInvalid(
            f"the registry sends us to {host}, which is an address of this machine or its network"
        ) from None
    except httpx2.HTTPError as e:
        raise RegistryUnreachable(host, _reason(e)) from e


def _reason(error: BaseException) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "it does not answer"
    cause: BaseException | None = error
    while cause is not None:
        for kind, reason in _REASONS.items():
            if isinstance(cause, kind):
                return reason
        cause = cause.__cause__ or cause.__context__
    return "the connection broke"
