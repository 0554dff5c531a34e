"""Responses of registries: bounded reads, decompression, and errors from HTTP statuses."""

import contextlib
import json
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import httpx2

from model_store.registry.errors import (
    AccessDenied,
    AddressRefused,
    InvalidResponse,
    NotInRegistry,
    RegistryBusy,
    RegistryRefused,
    RegistryUnreachable,
)
from model_store.registry.http.addresses import AddressNotPermitted

_LARGEST_ERROR = 16 << 10
_LONGEST_MESSAGE = 500
_GZIP = 16 + zlib.MAX_WBITS
_RETRY_LATER = (429, 503)

_REASONS: dict[type[BaseException], str] = {
    socket.gaierror: "the host name does not resolve",
    ConnectionRefusedError: "the connection was refused",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: 'it does not speak HTTPS ("insecure": true uses plain HTTP)',
    httpx2.ProxyError: "the proxy refused the connection",
}
"""The reason to give for the first of these among the causes of an error."""


@dataclass(frozen=True, slots=True)
class Response:
    """The response to one request to `url`.

    With `public_only`, it came from a public address, or such a server redirected us to it:
    requests to URLs that it names, or to `url` again, must not go to inner addresses.
    """

    raw: httpx2.Response
    url: httpx2.URL
    public_only: bool

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.raw.status_code

    @property
    def headers(self) -> httpx2.Headers:
        """The headers."""
        return self.raw.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as received; raises RegistryUnreachable when the connection breaks."""
        stream = self.raw.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        with network_errors(self.url.host):
            async for chunk in stream:
                yield chunk

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decompressed.

        Raises:
            InvalidResponse: it has more than `limit` bytes, compressed or not, or a
                compression other than gzip.
            RegistryUnreachable: the connection broke.
        """
        encoding = self.headers.get("content-encoding", "").lower()
        return await _read_bounded(self.chunks(), encoding, limit)

    async def raise_for_status(self) -> None:
        """Raise the error that a status of at least 400 means.

        Raises:
            RegistryRefused: or one of its more specific kinds.
        """
        if self.status < 400:
            return
        if self.status == 401:
            raise AccessDenied
        if self.status == 404:
            raise NotInRegistry
        message = await self._error_message()
        retry_after = _seconds(self.headers.get("retry-after", ""))
        if self.status in _RETRY_LATER or retry_after is not None:
            raise RegistryBusy(self.status, message, retry_after)
        raise RegistryRefused(self.status, message)

    async def _error_message(self) -> str:
        try:
            return _oci_message(await self.read(_LARGEST_ERROR))
        except (InvalidResponse, RegistryUnreachable):
            return ""


async def _read_bounded(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise InvalidResponse("the registry used a content encoding that was not accepted")
    decompressor = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += decompressor.decompress(chunk, limit + 1 - len(body)) if decompressor else chunk
        except zlib.error:
            raise InvalidResponse("the registry's response cannot be decompressed") from None
        if max(len(body), received) > limit:
            raise InvalidResponse(f"the registry's response is larger than {limit} bytes")
    return bytes(body)


def _oci_message(body: bytes) -> str:
    """Return the messages of an OCI error response, empty if `body` is something else."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    errors = fields.get("errors") if isinstance(fields, Mapping) else None
    messages = [
        error["message"]
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, Mapping)
        and isinstance(error.get("code"), str)
        and isinstance(error.get("message"), str)
    ]
    text = "; ".join(dict.fromkeys(messages))
    return "".join(c for c in text if c.isprintable())[:_LONGEST_MESSAGE].strip()


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@contextlib.contextmanager
def network_errors(host: str) -> Iterator[None]:
    """Turn errors of the HTTP client into errors of this package, with a reason in our words."""
    try:
        yield
    except AddressNotPermitted as e:
        raise AddressRefused(e.host, is_forbidden=e.is_forbidden) from None
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
