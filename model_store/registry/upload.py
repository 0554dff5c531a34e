"""Sending one blob to a registry: skipped where it is, mounted where it can be, else in parts."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import httpx2

from model_store.disk import disk_errors, open_regular
from model_store.errors import StorageFailed
from model_store.manifests import Layer
from model_store.registry.errors import (
    AnswerInvalid,
    RegistryBusy,
    RegistryRefused,
    RegistryUnreachable,
    TransferFailed,
)
from model_store.registry.http.repository import Patience, Repository
from model_store.registry.http.transport import Answer, Transport, url_of
from model_store.registry.parts import PartSizes, Span
from model_store.registry.workers import Workers

_T = TypeVar("_T")

_PIECE = 1 << 20
_AT_ONCE = 4
_DATA = "application/octet-stream"
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})\Z")
_FINAL = frozenset(range(400, 500)) - {408, 416, 425, 429}
"""What the registry says for good; the four mean: not now, not this part, not yet, not so fast."""

_LOST_TRACK = (400, 404, 416)
_WORTH_ANOTHER_TRY = (RegistryUnreachable, RegistryRefused)

UPLOAD_SIZES = PartSizes(smallest=100_000_000, largest=1_000_000_000, share=16)
"""Parts as Ollama sends them, in bytes."""


@dataclass(slots=True)
class Session:
    """An upload that a registry has begun to take; what comes at `position` goes to `url`."""

    url: httpx2.URL
    position: int = 0


class Sessions:
    """Uploads that were broken off, for whoever wants to go on; the last few are remembered."""

    def __init__(self, most: int = 64) -> None:
        self._kept: OrderedDict[Hashable, Session] = OrderedDict()
        self._most = most

    def take(self, key: Hashable) -> Session | None:
        """Return what is known for `key`, and forget it."""
        return self._kept.pop(key, None)

    def keep(self, key: Hashable, session: Session) -> None:
        """Remember where an upload stopped."""
        self._kept[key] = session
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


class Upload:
    """The sending of one blob to one repository; `run` it once, look at `completed` meanwhile.

    The blob lies at `path`. `mount_from` is a repository of the same registry that may have it,
    or empty.
    """

    def __init__(
        self,
        transport: Transport,
        workers: Workers,
        repository: Repository,
        layer: Layer,
        path: Path,
        *,
        mount_from: str,
        sizes: PartSizes,
        patience: Patience,
        sessions: Sessions,
    ) -> None:
        self._transport, self._workers, self._repository = transport, workers, repository
        self._layer, self._path, self._mount_from = layer, path, mount_from
        self._size, self._patience, self._sessions = sizes.of(layer.size), patience, sessions
        self._sent: dict[int, int] = {}
        self._sums: dict[int, bytes] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._elsewhere: list[asyncio.Task[None]] = []

    @property
    def total(self) -> int:
        """Bytes of the blob."""
        return self._layer.size

    @property
    def completed(self) -> int:
        """How many of them were sent."""
        return sum(self._sent.values())

    async def run(self) -> None:
        """Bring the blob into the repository.

        Raises:
            TransferFailed, AccessDenied, RegistryError: the registry does not take it.
            StorageFailed: it cannot be read.
        """
        if await self._repository.has_blob(self._layer.digest):
            return
        key = (self._repository.endpoint, self._repository.path, self._layer.digest)
        session = self._sessions.take(key)
        if session is None or not await self._arrived(session):
            session = await self._begin()
        if session is None:
            return
        try:
            await self._send(session)
        except RegistryRefused as e:
            if e.status not in _LOST_TRACK:
                self._sessions.keep(key, session)
                raise
            # It forgot the upload, or took a part of it twice: once more from the beginning.
            session = await self._begin()
            if session is not None:
                await self._send(session)
        except BaseException:
            self._sessions.keep(key, session)
            raise

    async def _begin(self) -> Session | None:
        """Ask for an upload; None when the registry had the blob in another repository."""
        url = self._repository.url("blobs/uploads/")
        if self._mount_from:
            pairs = {"from": self._mount_from, "mount": str(self._layer.digest)}
            url = url.copy_with(query=urlencode(pairs).encode())
        async with self._repository.request("POST", url, content=b"", follow=False) as answer:
            await answer.check()
            return None if answer.status == 201 else Session(self._next(answer))

    async def _arrived(self, session: Session) -> bool:
        """Note how much of an upload has arrived; False if the registry does not tell."""
        try:
            async with self._repository.request("GET", session.url, follow=False) as answer:
                match = _RANGE.match(answer.headers.get("range", ""))
                if answer.status != 204 or match is None:
                    return False
                # An upload of nothing yet is told as 0-0, too.
                last = int(match[1])
                session.position = last + 1 if 0 < last < self.total else 0
                session.url = self._next(answer)
                return True
        except (AnswerInvalid, *_WORTH_ANOTHER_TRY):
            return False

    async def _send(self, session: Session) -> None:
        try:
            while session.position < self.total:
                await self._patiently(lambda: self._part(session), session)
            await asyncio.gather(*self._elsewhere)
            await self._patiently(lambda: self._commit(session))
        finally:
            for task in self._elsewhere:
                task.cancel()
            await asyncio.gather(*self._elsewhere, return_exceptions=True)
            self._elsewhere = []

    async def _part(self, session: Session) -> None:
        """Send the rest of the part that is next."""
        start = session.position // self._size * self._size
        part = Span(start, min(start + self._size, self.total))
        rest = Span(session.position, part.stop)
        self._sent = {first: n for first, n in self._sent.items() if first < start}
        self._sent[start] = rest.start - start
        headers = {
            "Content-Type": _DATA,
            "Content-Length": str(rest.size),
            "Content-Range": f"{rest.start}-{rest.stop - 1}",
            "X-Redirect-Uploads": "1",
        }
        async with self._repository.request(
            "PATCH", session.url, headers=headers, content=self._pieces(part, rest), follow=False
        ) as answer:
            await answer.check()
            session.url = self._next(answer)
            if answer.status == 307:
                self._send_elsewhere(answer, part)
        session.position = part.stop

    def _send_elsewhere(self, answer: Answer, part: Span) -> None:
        """Send a part to where the registry says, while the next one is on its way already."""
        storage = url_of(answer.headers.get("location", ""), base=answer.url)
        self._sent[part.start] = 0

        async def put() -> None:
            async with self._slots:
                await self._patiently(
                    lambda: self._put(storage, part, sends_outside=answer.sends_outside)
                )

        self._elsewhere.append(asyncio.ensure_future(put()))

    async def _put(self, storage: httpx2.URL, part: Span, *, sends_outside: bool) -> None:
        self._sent[part.start] = 0
        async with self._transport.stream(
            "PUT",
            storage,
            headers={"Content-Type": _DATA, "Content-Length": str(part.size)},
            content=self._pieces(part, part),
            is_sent_on=sends_outside,
        ) as answer:
            await answer.check()

    async def _commit(self, session: Session) -> None:
        for start in range(0, self.total, self._size):
            if start not in self._sums:
                part = Span(start, min(start + self._size, self.total))
                self._sums[start] = await self._workers.run(_md5, self._path, part)
        sums = b"".join(self._sums[start] for start in sorted(self._sums))
        etag = f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(self._sums)}"
        url = session.url.copy_merge_params({"digest": str(self._layer.digest), "etag": etag})
        async with self._repository.request(
            "PUT", url, headers={"Content-Type": _DATA}, content=b"", follow=False
        ) as answer:
            await answer.check()

    def _next(self, answer: Answer) -> httpx2.URL:
        """Return where the registry wants the next part, on plain HTTP if it is asked that way."""
        headers = answer.headers
        told = headers.get("docker-upload-location") or headers.get("location") or ""
        url = url_of(told, base=answer.url)
        return url.copy_with(scheme="http") if self._repository.endpoint.scheme == "http" else url

    async def _pieces(self, part: Span, rest: Span) -> AsyncIterator[bytes]:
        """Yield the bytes of `rest`, the end of `part`, counting them as they go."""
        with disk_errors():
            file = await self._workers.run(open_regular, self._path)
        with file:
            await self._workers.run(file.seek, rest.start)
            position = rest.start
            while position < rest.stop:
                size = min(_PIECE, rest.stop - position)
                with disk_errors():
                    piece = await self._workers.run(file.read, size)
                if not piece:
                    raise StorageFailed("a blob became shorter while it was read")
                yield piece
                position += len(piece)
                self._sent[part.start] = position - part.start

    async def _patiently(
        self, action: Callable[[], Awaitable[_T]], session: Session | None = None
    ) -> _T:
        """Do something until it works; raises TransferFailed when it does not, many times."""
        failures = 0
        while True:
            try:
                return await action()
            except _WORTH_ANOTHER_TRY as e:
                if isinstance(e, RegistryRefused) and e.status in _FINAL:
                    raise
                trouble = e
            failures += 1
            if failures >= self._patience.tries:
                raise TransferFailed(str(trouble))
            asked = trouble.wait if isinstance(trouble, RegistryBusy) else None
            await self._patience.sleep(self._patience.wait(failures, asked))
            if session is not None:
                # What has arrived of the part need not be sent again.
                await self._arrived(session)


def _md5(path: Path, span: Span) -> bytes:
    """Return the MD5 of a part: a registry that has files elsewhere checks them by it."""
    found = hashlib.md5(usedforsecurity=False)
    with disk_errors(), open_regular(path) as file:
        file.seek(span.start)
        rest = span.size
        while rest and (piece := file.read(min(_PIECE, rest))):
            found.update(piece)
            rest -= len(piece)
    return found.digest()
