"""Images from other machines, fetched with care.

The server may stand where the client does not: it must not be made to ask machines that the
client cannot reach, nor its own, whose firewall trusts itself. A name is resolved once, every
address of it has to be a public one of another machine, and the connection goes to the address
that was looked at, whatever the name means a moment later. The same holds for each redirect.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx2

from model_store.registry.http.connections import is_public, parsed_address
from server.concurrency.threads import in_thread
from server.errors import BadRequest
from server.http.own_addresses import own_addresses
from server.text.quoting import quoted

_SECONDS = 30.0
"""For all images of a request together."""
_MOST_BYTES = 20 << 20
_MOST_BYTES_IN_ALL = 64 << 20
_MOST_REDIRECTS = 3
_LONGEST_SHOWN = 200

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host; raises OSError when there are none."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` as this machine knows them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class ImageDownloads:
    """Fetches images; `own` are the addresses of this machine."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        own: Callable[[], Sequence[str]] = own_addresses,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._resolve, self._own, self._transport = resolve, own, transport

    async def fetch(self, urls: Sequence[str]) -> dict[str, bytes]:
        """Return the images by their addresses.

        Raises:
            BadRequest: they must not or cannot be fetched; the text says which, and why.
        """
        async with await in_thread(self._client) as client:
            deadline = asyncio.get_running_loop().time() + _SECONDS
            images: dict[str, bytes] = {}
            for url in urls:
                images[url] = await self._fetch(client, url, deadline)
                if sum(map(len, images.values())) > _MOST_BYTES_IN_ALL:
                    raise BadRequest(
                        f"the images of a request are larger than {_MOST_BYTES_IN_ALL} bytes in all"
                    )
        return images

    def _client(self) -> httpx2.AsyncClient:
        # Reads certificates, and no settings of proxies: those would go round the checks.
        return httpx2.AsyncClient(transport=self._transport, timeout=_SECONDS, trust_env=False)

    async def _fetch(self, client: httpx2.AsyncClient, url: str, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._follow(client, httpx2.URL(url))
        except TimeoutError:
            raise _refusal(url, "it takes too long") from None
        except _Refused as e:
            raise _refusal(url, str(e)) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
            raise _refusal(url, "its server cannot be reached") from None

    async def _follow(self, client: httpx2.AsyncClient, url: httpx2.URL) -> bytes:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._ask(client, url)
            if isinstance(answer, bytes):
                return answer
            url = url.join(answer)
        raise _Refused("it redirects too often")

    async def _ask(self, client: httpx2.AsyncClient, url: httpx2.URL) -> bytes | str:
        """Return the image at `url`, or where it is instead."""
        address = await self._public_address(url)
        request = client.build_request(
            "GET",
            url.copy_with(host=address, username=None, password=None),
            # What arrives compressed could be of any size.
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
            raise _Refused("it is no http or https address")
        addresses = await self._resolve(url.host, url.port or 443)
        own = {parsed_address(text) for text in self._own()}
        found = {parsed_address(text) for text in addresses}
        if not found or found & own or not all(each and is_public(each) for each in found):
            raise _Refused("it is not on a public address")
        return addresses[0]


class _Refused(Exception):
    """An image is not fetched; the text completes a sentence about it."""


async def _body(response: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > _MOST_BYTES:
            raise _Refused(f"it is larger than {_MOST_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _refusal(url: str, why: str) -> BadRequest:
    return BadRequest(f"the image {quoted(url[:_LONGEST_SHOWN])} cannot be fetched: {why}")
