"""Where the bytes of one blob come from: any part of it, from wherever the registry sends us."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from model_store.registry.errors import (
    AnswerInvalid,
    RangesRefused,
    RegistryRefused,
    RegistryUnreachable,
)
from model_store.registry.http.repository import Access
from model_store.registry.http.transport import Answer, Transport
from model_store.registry.parts import Span

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")


class BlobSource:
    """A blob of `size` bytes at `url`, asked for with the credentials of `access`.

    A registry may send us on to where its files lie. That address is used for all further parts,
    without credentials, until it expires.
    """

    def __init__(self, transport: Transport, access: Access, url: httpx2.URL, size: int) -> None:
        self._transport, self._access = transport, access
        self._url, self.size = url, size
        self._elsewhere: httpx2.URL | None = None
        self._is_sent_on = False
        self.has_ranges = True
        """False once the server was seen to send whole files only."""

    @property
    def host(self) -> str:
        """Where the blob comes from."""
        return self._url.host

    @contextlib.asynccontextmanager
    async def open(self, span: Span) -> AsyncIterator[AsyncIterator[bytes]]:
        """Ask for a part; yields its bytes, perhaps fewer than asked for and never more.

        Raises:
            RegistryUnreachable: no answer, or the connection broke; also while reading.
            RegistryRefused: an error status.
            RangesRefused: the server sends whole files only; the next call takes what it needs
                from one.
            AnswerInvalid: the answer is not the part that was asked for.
        """
        headers = {"Range": f"bytes={span.start}-{span.stop - 1}"} if self.has_ranges else {}
        async with self._answer(headers) as answer:
            await self._check(answer)
            skip = self._skipped(answer, span)
            async with contextlib.aclosing(_within(answer, skip, span.size)) as chunks:
                yield chunks

    @contextlib.asynccontextmanager
    async def _answer(self, headers: dict[str, str]) -> AsyncIterator[Answer]:
        if self._elsewhere is not None:
            async with self._transport.stream(
                "GET", self._elsewhere, headers=headers, is_sent_on=self._is_sent_on
            ) as answer:
                yield answer
            return
        async with self._access.request("GET", self._url, headers=headers) as answer:
            if answer.url.host != self._url.host and answer.status < 400:
                self._elsewhere, self._is_sent_on = answer.url, answer.sends_outside
            yield answer

    async def _check(self, answer: Answer) -> None:
        try:
            await answer.check()
        except RegistryRefused as e:
            if self._elsewhere is None or e.status >= 500:
                raise
            # Such addresses are good for some minutes only; the registry gives a new one.
            self._elsewhere = None
            raise RegistryUnreachable(answer.url.host, f"it answers {e.status}") from None

    def _skipped(self, answer: Answer, span: Span) -> int:
        """Return how many bytes come before those that are wanted."""
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise AnswerInvalid("the server packs what it was asked to send as it is")
        if answer.status == 206 and self.has_ranges:
            self._check_range(answer, span)
            return 0
        if answer.status != 200:
            raise AnswerInvalid(f"the server answers a request for data with {answer.status}")
        length = answer.headers.get("content-length")
        if length is not None and length != str(self.size):
            raise self._wrong_size(length)
        if self.has_ranges and span != (0, self.size):
            self.has_ranges = False
            raise RangesRefused
        return span.start

    def _check_range(self, answer: Answer, span: Span) -> None:
        match = _RANGE.match(answer.headers.get("content-range", ""))
        if match is None or int(match[1]) != span.start or int(match[2]) >= span.stop:
            raise AnswerInvalid("the server sends another part than it was asked for")
        if match[3] not in ("*", str(self.size)):
            raise self._wrong_size(match[3])

    def _wrong_size(self, found: str) -> AnswerInvalid:
        shown = found if found.isdigit() else "another number of"
        return AnswerInvalid(f"a file has {shown} bytes, but its manifest says {self.size}")


async def _within(answer: Answer, skip: int, size: int) -> AsyncGenerator[bytes, None]:
    """Yield `size` bytes of the body after the first `skip`.

    A body that ends there is read to its end, so that the connection can be used again.
    """
    async with contextlib.aclosing(answer.chunks()) as chunks:
        async for received in chunks:
            if not size:
                return
            chunk = received[skip : skip + size] if skip or len(received) > size else received
            skip = max(0, skip - len(received))
            size -= len(chunk)
            if chunk:
                yield chunk
