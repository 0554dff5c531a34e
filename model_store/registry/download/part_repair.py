"""Repair a blob whose digest is wrong: find the bad part, and download that alone again.

After a power cut, parts that the resume state calls complete may be zeros; a cache on the way may
have one bad piece. "digest mismatch, file must be downloaded again" would then cost all of a large
model. Only the digest of the whole is known, so samples of all parts are downloaded and compared,
then the parts whose samples differ, then the others until the digest is right.
"""

import asyncio
from collections.abc import Iterable

from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.fetch import fetch
from model_store.registry.download.partial_file import PartialFile, hash_to
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.parts import Span, cut
from model_store.registry.retries import Retries, RetryPolicy

_PARTS = 128
_SMALLEST_PART, _SMALLEST_SAMPLE = 4096, 32
_SAMPLE_SHARE = 256
_STORE_SIZE = 1 << 20
_CONNECTIONS = 4


class PartRepair:
    """Compares a file with its source, and replaces what differs.

    `parts` are the stretches that were downloaded by one request each: most likely, one of those
    is bad as a whole.
    """

    def __init__(
        self,
        file: PartialFile,
        threads: DiskThreads,
        source: BlobSource,
        parts: Iterable[Span],
        policy: RetryPolicy,
    ) -> None:
        self._file, self._threads = file, threads
        self._source, self._retries = source, Retries(policy)
        size = max(_SMALLEST_PART, -(-file.size // _PARTS))
        self._parts = [piece for part in parts for piece in cut(part, size)]

    async def run(self) -> bool:
        """Return whether the file is right in the end; raises what `fetch` raises."""
        if not self._source.has_ranges:
            return False
        suspects = [part for part in self._parts if await self._replace([_sample(part)])]
        if await self._replace(suspects) and await self._is_right():
            return True
        others = [part for part in self._parts if part not in suspects]
        others.sort(key=lambda part: min((abs(part.start - s.start) for s in suspects), default=0))
        for first in range(0, len(others), _CONNECTIONS):
            differs = await self._replace(others[first : first + _CONNECTIONS])
            if differs and await self._is_right():
                return True
        return False

    async def _is_right(self) -> bool:
        self._file.restart_hash()
        await hash_to(self._file, self._file.size, self._threads)
        return self._file.content_digest == self._file.digest

    async def _replace(self, spans: Iterable[Span]) -> bool:
        """Download spans again; return whether any of them differed."""
        targets = [_Comparison(self._file, self._threads, span) for span in spans]
        limit = asyncio.Semaphore(_CONNECTIONS)

        async def replace(target: _Comparison) -> None:
            async with limit:
                await fetch(self._source, target, self._retries)

        try:
            async with asyncio.TaskGroup() as tasks:
                for target in targets:
                    tasks.create_task(replace(target))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return any(target.differs for target in targets)


def _sample(part: Span) -> Span:
    """Return a stretch in the middle of `part`."""
    size = min(part.size, max(_SMALLEST_SAMPLE, part.size // _SAMPLE_SHARE))
    start = part.start + (part.size - size) // 2
    return Span(start, start + size)


class _Comparison:
    """Takes the bytes of a span that is on the disk already; what differs is replaced."""

    def __init__(self, file: PartialFile, threads: DiskThreads, span: Span) -> None:
        self._file, self._threads = file, threads
        self._stored, self._received, self._stop = span.start, span.start, span.stop
        self._chunks: list[bytes] = []
        self.failures = 0
        self.differs = False

    @property
    def missing(self) -> Span:
        return Span(self._received, self._stop)

    def connect(self) -> None:
        pass

    def wait(self) -> None:
        pass

    def take(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        self._received += len(chunk)
        return self._received - self._stored >= _STORE_SIZE

    async def store(self) -> None:
        data = b"".join(self._chunks)
        position, self._stored = self._stored, self._received
        self._chunks = []
        if data:
            self.differs |= await self._threads.run(self._overwrite, position, data)

    def _overwrite(self, position: int, data: bytes) -> bool:
        if self._file.read(position, len(data)) == data:
            return False
        self._file.overwrite(position, [data])
        return True
