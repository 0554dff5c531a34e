"""Ranged GET requests for one blob, directly or from the storage that a registry redirects to."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from model_store.registry.errors import (
    InvalidResponse,
    RangesUnsupported,
    RegistryRefused,
    RegistryUnreachable,
)
from model_store.registry.http.repository import HTTPClient
from model_store.registry.http.response import Response
from model_store.registry.http.transport import Transport
from model_store.registry.parts import Span

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")


class BlobSource:
    """A blob of `size` bytes at `url`, requested with the credentials of `client`.

    A registry may redirect to a signed URL of a storage server. That is used for all further
    parts, without credentials, until it expires.
    """

    def __init__(
        self, transport: Transport, client: HTTPClient, url: httpx2.URL, size: int
    ) -> None:
        self._transport, self._client = transport, client
        self._url, self.size = url, size
        self._storage_url: httpx2.URL | None = None
        self._public_only = False
        self.has_ranges = True
        """False after the server has sent a whole file in response to a range request."""

    @property
    def host(self) -> str:
        """The host that the blob comes from."""
        return self._url.host

    @contextlib.asynccontextmanager
    async def open(self, span: Span) -> AsyncIterator[AsyncIterator[bytes]]:
        """Request a part; yields its bytes, perhaps fewer than requested and never more.

        Raises:
            RegistryUnreachable: there is no response, or the connection broke; also while
                reading.
            RegistryRefused: an error status.
            RangesUnsupported: the server sends whole files only; the next call takes what it
                needs from one.
            InvalidResponse: the response is not the requested part.
        """
        headers = {"Range": f"bytes={span.start}-{span.stop - 1}"} if self.has_ranges else {}
        async with self._request(headers) as response:
            await self._check_status(response)
            offset = self._offset(response, span)
            async with contextlib.aclosing(_slice(response, offset, span.size)) as chunks:
                yield chunks

    @contextlib.asynccontextmanager
    async def _request(self, headers: dict[str, str]) -> AsyncIterator[Response]:
        if self._storage_url is not None:
            async with self._transport.stream(
                "GET", self._storage_url, headers=headers, public_only=self._public_only
            ) as response:
                yield response
            return
        async with self._client.request("GET", self._url, headers=headers) as response:
            if response.url.host != self._url.host and response.status < 400:
                self._storage_url, self._public_only = response.url, response.public_only
            yield response

    async def _check_status(self, response: Response) -> None:
        try:
            await response.raise_for_status()
        except RegistryRefused as e:
            if self._storage_url is None or e.status >= 500:
                raise
            # Signed URLs are valid for some minutes only; the registry gives a new one.
            self._storage_url = None
            reason = f"the storage server answered with status {e.status}"
            raise RegistryUnreachable(response.url.host, reason) from None

    def _offset(self, response: Response, span: Span) -> int:
        """Return how many bytes of the body come before those of `span`."""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise InvalidResponse("the server compressed a blob that was requested uncompressed")
        if response.status == 206 and self.has_ranges:
            self._check_range(response, span)
            return 0
        if response.status != 200:
            raise InvalidResponse(
                f"the server answered a request for a blob with status {response.status}"
            )
        length = response.headers.get("content-length")
        if length is not None and length != str(self.size):
            raise self._wrong_size(length)
        if self.has_ranges and span != (0, self.size):
            self.has_ranges = False
            raise RangesUnsupported
        return span.start

    def _check_range(self, response: Response, span: Span) -> None:
        match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        if match is None or int(match[1]) != span.start or int(match[2]) >= span.stop:
            raise InvalidResponse("the server sent another range than the requested one")
        if match[3] not in ("*", str(self.size)):
            raise self._wrong_size(match[3])

    def _wrong_size(self, size: str) -> InvalidResponse:
        shown = size if size.isdigit() else "another number of"
        return InvalidResponse(f"a blob has {shown} bytes, but its manifest says {self.size}")


async def _slice(response: Response, offset: int, size: int) -> AsyncGenerator[bytes, None]:
    """Yield `size` bytes of the body after the first `offset`.

    A body that ends there is read to its end, so that the connection can be used again.
    """
    async with contextlib.aclosing(response.chunks()) as chunks:
        async for received in chunks:
            if not size:
                return
            chunk = received[offset : offset + size] if offset or len(received) > size else received
            offset = max(0, offset - len(received))
            size -= len(chunk)
            if chunk:
                yield chunk
