"""Download images by URL, guarded against server-side request forgery.

The server may reach machines that its client cannot: those of its own network, and itself. A name
is therefore resolved once, all of its addresses must be public ones of other machines, and the
connection goes to the checked address whatever the name resolves to later. The same holds for each
redirect.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx2

from model_store.registry.http.addresses import is_public, parsed_address
from server.concurrency.threads import in_thread
from server.errors import BadRequest
from server.http.own_addresses import own_addresses
from server.text.quoting import quoted

_SECONDS = 30.0
"""Time limit for all images of a request together."""
_MAX_BYTES = 20 << 20
_MAX_TOTAL_BYTES = 64 << 20
_MAX_REDIRECTS = 3
_MAX_SHOWN_LENGTH = 200

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host; raises OSError when there are none."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` as this machine knows them."""
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


class ImageDownloads:
    """Downloads images; `own` returns the addresses of this machine."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        own: Callable[[], Sequence[str]] = own_addresses,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._resolve, self._own, self._transport = resolve, own, transport

    async def fetch(self, urls: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of the images by URL.

        Raises:
            BadRequest: an image is refused or cannot be downloaded; the text says which, and why.
        """
        async with await in_thread(self._client) as client:
            deadline = asyncio.get_running_loop().time() + _SECONDS
            images: dict[str, bytes] = {}
            for url in urls:
                images[url] = await self._fetch(client, url, deadline)
                if sum(map(len, images.values())) > _MAX_TOTAL_BYTES:
                    raise BadRequest(
                        f"the images of a request are larger than {_MAX_TOTAL_BYTES} bytes in all"
                    )
        return images

    def _client(self) -> httpx2.AsyncClient:
        # Loads certificates (slow), and ignores proxy settings: a proxy would bypass the checks.
        return httpx2.AsyncClient(transport=self._transport, timeout=_SECONDS, trust_env=False)

    async def _fetch(self, client: httpx2.AsyncClient, url: str, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._follow(client, httpx2.URL(url))
        except TimeoutError:
            raise _refusal(url, "it took too long") from None
        except _Refused as e:
            raise _refusal(url, str(e)) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            raise _refusal(url, "its server cannot be reached") from None

    async def _follow(self, client: httpx2.AsyncClient, url: httpx2.URL) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await self._get(client, url)
            if isinstance(answer, bytes):
                return answer
            url = url.join(answer)
        raise _Refused("it redirects too often")

    async def _get(self, client: httpx2.AsyncClient, url: httpx2.URL) -> bytes | str:
        """Return the image at `url`, or the location of a redirect."""
        address = await self._public_address(url)
        request = client.build_request(
            "GET",
            url.copy_with(host=address, username=None, password=None),
            # A compressed reply could decompress to any size.
            headers={
                "host": url.netloc.decode(),
                "accept": "image/*",
                "accept-encoding": "identity",
            },
            extensions={"sni_hostname": url.host},
        )
        response = await client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return str(response.headers["location"])
            if not response.is_success:
                raise _Refused(f"its server answers {response.status_code}")
            return await _body(response)
        finally:
            await response.aclose()

    async def _public_address(self, url: httpx2.URL) -> str:
        if url.scheme not in ("http", "https") or not url.host:
            raise _Refused("its URL is not an http or https URL")
        addresses = await self._resolve(url.host, url.port or 443)
        own = {parsed_address(text) for text in self._own()}
        resolved = {parsed_address(text) for text in addresses}
        if not resolved or resolved & own or not all(each and is_public(each) for each in resolved):
            raise _Refused("it is not on a public address")
        return addresses[0]


class _Refused(Exception):
    """An image is refused; the text completes a sentence about it."""


async def _body(response: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > _MAX_BYTES:
            raise _Refused(f"it is larger than {_MAX_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _refusal(url: str, why: str) -> BadRequest:
    return BadRequest(f"the image {quoted(url[:_MAX_SHOWN_LENGTH])} cannot be fetched: {why}")
