"""Upload of one blob: skipped if the registry has it, mounted if possible, else sent in parts."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from model_store.disk import disk_errors, open_regular
from model_store.errors import StorageFailed
from model_store.manifests import Layer
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.errors import RegistryError, RegistryRefused
from model_store.registry.http.repository import Repository
from model_store.registry.http.response import Response
from model_store.registry.http.transport import Transport
from model_store.registry.http.urls import parse_url
from model_store.registry.parts import PartSizes, Span, cut
from model_store.registry.retries import RetryPolicy, with_retries

_READ_SIZE = 1 << 20
_HASH_STEP = 64 << 20
_CONNECTIONS = 4
_OCTETS = "application/octet-stream"
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})\Z")
_SESSION_LOST = (400, 404, 416)

UPLOAD_SIZES = PartSizes(smallest=100_000_000, largest=1_000_000_000, share=16)
"""Parts as the reference sends them, in bytes."""


@dataclass(slots=True)
class UploadSession:
    """An upload that a registry has begun to accept; the byte at `position` goes to `url` next."""

    url: httpx2.URL
    position: int = 0


class UploadSessions:
    """The most recent interrupted uploads, to be resumed."""

    def __init__(self, limit: int = 64) -> None:
        self._sessions: OrderedDict[Hashable, UploadSession] = OrderedDict()
        self._limit = limit

    def pop(self, key: Hashable) -> UploadSession | None:
        """Remove and return the session for `key`."""
        return self._sessions.pop(key, None)

    def add(self, key: Hashable, session: UploadSession) -> None:
        """Remember an interrupted upload."""
        self._sessions[key] = session
        if len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)


class Upload:
    """The upload of one blob to one repository; call `run` once, read `completed` meanwhile.

    The blob is the file `path`. `mount_from` is a repository of the same registry that may have
    it, or empty.
    """

    def __init__(
        self,
        transport: Transport,
        threads: DiskThreads,
        repository: Repository,
        layer: Layer,
        path: Path,
        *,
        mount_from: str,
        sizes: PartSizes,
        retries: RetryPolicy,
        sessions: UploadSessions,
    ) -> None:
        self._transport, self._threads, self._repository = transport, threads, repository
        self._layer, self._path, self._mount_from = layer, path, mount_from
        self._size, self._retries, self._sessions = sizes.of(layer.size), retries, sessions
        self._sent: dict[int, int] = {}
        self._sums: dict[int, bytes] = {}
        self._connections = asyncio.Semaphore(_CONNECTIONS)

    @property
    def total(self) -> int:
        """Size of the blob in bytes."""
        return self._layer.size

    @property
    def completed(self) -> int:
        """How many bytes were sent."""
        return sum(self._sent.values())

    async def run(self) -> None:
        """Upload the blob.

        Raises:
            TransferFailed, AccessDenied, RegistryError: the registry does not accept it.
            StorageFailed: it cannot be read.
        """
        if await self._repository.has_blob(self._layer.digest):
            return
        key = (self._repository.endpoint, self._repository.path, self._layer.digest)
        session = self._sessions.pop(key)
        if session is None or not await self._synchronize(session):
            session = await self._begin()
        if session is None:
            return
        try:
            await self._send(session)
        except RegistryRefused as e:
            if e.status not in _SESSION_LOST:
                self._sessions.add(key, session)
                raise
            # It lost the upload, or took a part of it twice: once more from the beginning.
            session = await self._begin()
            if session is not None:
                await self._send(session)
        except BaseException:
            self._sessions.add(key, session)
            raise

    async def _begin(self) -> UploadSession | None:
        """Start an upload; None when the registry mounted the blob from another repository."""
        url = self._repository.url("blobs/uploads/")
        if self._mount_from:
            pairs = {"from": self._mount_from, "mount": str(self._layer.digest)}
            url = url.copy_with(query=urlencode(pairs).encode())
        async with self._repository.request("POST", url, content=b"", follow=False) as response:
            await response.raise_for_status()
            return None if response.status == 201 else UploadSession(self._next_url(response))

    async def _synchronize(self, session: UploadSession) -> bool:
        """Ask how much of an upload has arrived; False if the registry does not say."""
        try:
            async with self._repository.request("GET", session.url, follow=False) as response:
                match = _RANGE.match(response.headers.get("range", ""))
                if response.status != 204 or match is None:
                    return False
                # 0-0 also means that nothing has arrived.
                last = int(match[1])
                session.position = last + 1 if 0 < last < self.total else 0
                session.url = self._next_url(response)
                return True
        except RegistryError:
            return False

    async def _send(self, session: UploadSession) -> None:
        try:
            async with asyncio.TaskGroup() as storage:
                while session.position < self.total:
                    await with_retries(
                        lambda: self._send_part(session, storage),
                        self._retries,
                        # What has arrived of the part need not be sent again.
                        before_retry=lambda: self._synchronize(session),
                    )
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        await with_retries(lambda: self._commit(session), self._retries)

    async def _send_part(self, session: UploadSession, storage: asyncio.TaskGroup) -> None:
        """Send the rest of the part at the session's position."""
        start = session.position // self._size * self._size
        part = Span(start, min(start + self._size, self.total))
        rest = Span(session.position, part.stop)
        self._sent = {first: n for first, n in self._sent.items() if first < start}
        self._sent[start] = rest.start - start
        headers = {
            "Content-Type": _OCTETS,
            "Content-Length": str(rest.size),
            "Content-Range": f"{rest.start}-{rest.stop - 1}",
            "X-Redirect-Uploads": "1",
        }
        async with self._repository.request(
            "PATCH", session.url, headers=headers, content=self._read(part, rest), follow=False
        ) as response:
            await response.raise_for_status()
            session.url = self._next_url(response)
            if response.status == 307:
                # The next part is sent while the storage server receives this one.
                url = parse_url(response.headers.get("location", ""), base=response.url)
                self._sent[part.start] = 0
                storage.create_task(
                    self._send_to_storage(url, part, public_only=response.public_only)
                )
        session.position = part.stop

    async def _send_to_storage(self, url: httpx2.URL, part: Span, *, public_only: bool) -> None:
        async def put() -> None:
            self._sent[part.start] = 0
            async with self._transport.stream(
                "PUT",
                url,
                headers={"Content-Type": _OCTETS, "Content-Length": str(part.size)},
                content=self._read(part, part),
                public_only=public_only,
            ) as response:
                await response.raise_for_status()

        async with self._connections:
            await with_retries(put, self._retries)

    async def _commit(self, session: UploadSession) -> None:
        for start in range(0, self.total, self._size):
            if start not in self._sums:
                part = Span(start, min(start + self._size, self.total))
                self._sums[start] = await self._md5(part)
        sums = b"".join(self._sums[start] for start in sorted(self._sums))
        etag = f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(self._sums)}"
        url = session.url.copy_merge_params({"digest": str(self._layer.digest), "etag": etag})
        async with self._repository.request(
            "PUT", url, headers={"Content-Type": _OCTETS}, content=b"", follow=False
        ) as response:
            await response.raise_for_status()

    def _next_url(self, response: Response) -> httpx2.URL:
        """Return where the registry expects the next part, with the scheme of the registry."""
        headers = response.headers
        location = headers.get("docker-upload-location") or headers.get("location") or ""
        url = parse_url(location, base=response.url)
        return url.copy_with(scheme="http") if self._repository.endpoint.scheme == "http" else url

    async def _read(self, part: Span, rest: Span) -> AsyncIterator[bytes]:
        """Yield the bytes of `rest`, the end of `part`, and count them."""
        with disk_errors():
            file = await self._threads.run(open_regular, self._path)
        with file:
            await self._threads.run(file.seek, rest.start)
            position = rest.start
            while position < rest.stop:
                size = min(_READ_SIZE, rest.stop - position)
                with disk_errors():
                    piece = await self._threads.run(file.read, size)
                if not piece:
                    raise StorageFailed("a blob was truncated by another program")
                yield piece
                position += len(piece)
                self._sent[part.start] = position - part.start

    async def _md5(self, part: Span) -> bytes:
        """Return the MD5 of a part, which registries with a storage server compare."""
        checksum = hashlib.md5(usedforsecurity=False)
        for step in cut(part, _HASH_STEP):
            await self._threads.run(_update, checksum, self._path, step)
        return checksum.digest()


def _update(checksum: "hashlib._Hash", path: Path, span: Span) -> None:
    """Hash the bytes `span` of a file; raises StorageFailed."""
    with disk_errors(), open_regular(path) as file:
        file.seek(span.start)
        for piece in cut(span, _READ_SIZE):
            checksum.update(file.read(piece.size))
