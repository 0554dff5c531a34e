"""Buffer of one connection: bytes of a part, written to the partial file in large pieces."""

import asyncio

from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.partial_file import PartialFile
from model_store.registry.download.schedule import PartFetch
from model_store.registry.parts import Span


class PartTarget:
    """Takes the bytes of a part; sets `stored` whenever some are on the disk.

    They are written when there are `write_size` bytes, or after `write_seconds`.
    """

    def __init__(
        self,
        file: PartialFile,
        threads: DiskThreads,
        part_fetch: PartFetch,
        stored: asyncio.Event,
        *,
        write_size: int,
        write_seconds: float,
    ) -> None:
        self._file, self._threads, self._fetch, self._stored = file, threads, part_fetch, stored
        self._write_size, self._write_seconds = write_size, write_seconds
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._stored_at = self._clock()

    @property
    def failures(self) -> int:
        """Tries in a row that brought nothing of the part, over all connections."""
        return self._fetch.part.failures

    @failures.setter
    def failures(self, count: int) -> None:
        self._fetch.part.failures = count

    @property
    def missing(self) -> Span:
        """What has not arrived of the part."""
        return Span(self._fetch.received, self._fetch.part.stop)

    def connect(self) -> None:
        """Note that a request is sent now."""
        self._fetch.connect(self._clock())

    def wait(self) -> None:
        """Note that there is no connection: nobody needs to take over."""
        self._fetch.is_waiting = True

    def take(self, chunk: bytes) -> bool:
        """Take what comes next; return whether it is time to store."""
        room = self._fetch.missing
        if len(chunk) > room:
            chunk = chunk[:room]
        self._chunks.append(chunk)
        self._n_bytes += len(chunk)
        now = self._clock()
        self._fetch.receive(len(chunk), now)
        return self._n_bytes >= self._write_size or now - self._stored_at >= self._write_seconds

    async def store(self) -> None:
        """Write what was taken; raises StorageFailed."""
        self._stored_at = self._clock()
        if not self._n_bytes:
            return
        chunks, self._chunks, self._n_bytes = self._chunks, [], 0
        await self._threads.run(self._file.write, self._fetch.part, chunks)
        self._stored.set()
