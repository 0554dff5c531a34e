"""A blob that came whole but is wrong: finding the part that is bad, and fetching it alone.

Only the digest of the whole is known. So small samples of all parts are fetched again, and the
parts whose sample is another one than before; then, if need be, part after part until the digest
is right.
"""

from collections.abc import Iterable

from model_store.registry.download.fetch import fetch
from model_store.registry.download.partial_file import PartialFile
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Patience
from model_store.registry.parts import Span, cut
from model_store.registry.together import together
from model_store.registry.workers import Workers

_PARTS = 128
_SMALLEST_PART, _SMALLEST_SAMPLE = 4096, 32
_SHARE_OF_SAMPLE = 256
_STORE_SIZE = 1 << 20
_AT_ONCE = 4


class Mender:
    """Compares a file with its source, and puts right what differs."""

    def __init__(
        self,
        file: PartialFile,
        workers: Workers,
        source: BlobSource,
        parts: Iterable[Span],
        patience: Patience,
    ) -> None:
        self._file, self._workers = file, workers
        self._source, self._patience = source, patience
        size = max(_SMALLEST_PART, -(-file.size // _PARTS))
        # What is bad came, most likely, in answer to one request.
        self._parts = [piece for part in parts for piece in cut(part, size)]

    async def mend(self) -> bool:
        """Tell whether the file is right in the end; raises what `fetch` raises."""
        if not self._source.has_ranges:
            return False
        suspects = [part for part in self._parts if await self._refetch([_sample(part)])]
        if await self._refetch(suspects) and await self._is_right():
            return True
        others = [part for part in self._parts if part not in suspects]
        others.sort(key=lambda part: min((abs(part.start - s.start) for s in suspects), default=0))
        for first in range(0, len(others), _AT_ONCE):
            found = await self._refetch(others[first : first + _AT_ONCE])
            if found and await self._is_right():
                return True
        return False

    async def _is_right(self) -> bool:
        await self._workers.run(self._file.hash_again)
        return self._file.found == self._file.digest

    async def _refetch(self, spans: Iterable[Span]) -> bool:
        """Fetch spans again; tell whether anything was another thing than before."""
        targets = [_Comparison(self._file, self._workers, span) for span in spans]
        await together(fetch(self._source, target, self._patience) for target in targets)
        return any(target.differs for target in targets)


def _sample(part: Span) -> Span:
    """Return a stretch in the middle of `part` that tells whether all of it is another file's."""
    size = min(part.size, max(_SMALLEST_SAMPLE, part.size // _SHARE_OF_SAMPLE))
    start = part.start + (part.size - size) // 2
    return Span(start, start + size)


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
