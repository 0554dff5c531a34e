"""A blob that came whole but is wrong: finding the part that is bad, and fetching it alone.

Only the digest of the whole is known. So small samples of all parts are fetched again, and the
parts whose sample is another one than before; then, if need be, part after part until the digest
is right.
"""

import asyncio
from collections.abc import Iterable

from model_store.registry.fetching import fetch
from model_store.registry.partial import PartialFile
from model_store.registry.parts import Span, cut
from model_store.registry.repository import Patience
from model_store.registry.source import BlobSource
from model_store.registry.workers import Workers

_PARTS = 128
_SMALLEST_PART, _SMALLEST_SAMPLE = 4096, 64
_STORE_SIZE = 1 << 20
_AT_ONCE = 4


class Mender:
    """Compares a file with its source, and puts right what differs."""

    def __init__(
        self, file: PartialFile, workers: Workers, source: BlobSource, patience: Patience
    ) -> None:
        self._file, self._workers = file, workers
        self._source, self._patience = source, patience

    async def mend(self) -> bool:
        """Tell whether the file is right in the end; raises what `fetch` raises."""
        if not self._source.has_ranges:
            return False
        size = max(_SMALLEST_PART, -(-self._file.size // _PARTS))
        parts = cut(Span(0, self._file.size), size)
        suspects = await self._differing(parts)
        for some in (suspects, *(parts[n : n + _AT_ONCE] for n in range(0, len(parts), _AT_ONCE))):
            if await self._refetch(some) and await self._is_right():
                return True
        return False

    async def _is_right(self) -> bool:
        await self._workers.run(self._file.hash_again)
        return self._file.found == self._file.digest

    async def _differing(self, parts: Iterable[Span]) -> list[Span]:
        """Return the parts of which a sample is not what lies on the disk."""
        found = []
        for part in parts:
            middle, half = (part.start + part.stop) // 2, max(_SMALLEST_SAMPLE, part.size // _PARTS)
            sample = Span(max(part.start, middle - half // 2), min(part.stop, middle + half // 2))
            if await self._refetch([sample]):
                found.append(part)
        return found

    async def _refetch(self, spans: Iterable[Span]) -> bool:
        """Fetch spans again; tell whether anything was another thing than before."""
        targets = [_Comparison(self._file, self._workers, span) for span in spans]
        tasks = [
            asyncio.ensure_future(fetch(self._source, target, self._patience)) for target in targets
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return any(target.differs for target in targets)


class _Comparison:
    """Takes the bytes of a span that is on the disk already; what differs is replaced."""

    def __init__(self, file: PartialFile, workers: Workers, span: Span) -> None:
        self._file, self._workers = file, workers
        self._stored, self._received, self._stop = span.start, span.start, span.stop
        self._chunks: list[bytes] = []
        self.differs = False

    @property
    def missing(self) -> Span:
        return Span(self._received, self._stop)

    def take(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        self._received += len(chunk)
        return self._received - self._stored >= _STORE_SIZE

    async def store(self) -> None:
        data = b"".join(self._chunks)
        position, self._stored = self._stored, self._received
        self._chunks = []
        if len(data) > 0 and await self._workers.run(self._replace, position, data):
            self.differs = True

    def _replace(self, position: int, data: bytes) -> bool:
        if self._file.read(position, len(data)) == data:
            return False
        self._file.overwrite(position, [data])
        return True
