"""Loading one blob: parts side by side, hashed while they come, published when they are right."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from model_store.digests import Digest
from model_store.disk import is_regular
from model_store.layout import Layout
from model_store.registry.download.fetch import fetch
from model_store.registry.download.ledger import Ledger
from model_store.registry.download.part_repair import Mender
from model_store.registry.download.partial_file import InUse, PartialFile
from model_store.registry.download.schedule import Fetch, Schedule
from model_store.registry.errors import ContentMismatch, RangesRefused
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.http.repository import Patience
from model_store.registry.parts import Part, PartSizes, Span
from model_store.registry.together import together
from model_store.registry.workers import Workers

_NEXT_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a blob is loaded; sizes in bytes.

    What comes of a part is stored in pieces of `writes`, or when `write_seconds` have passed: that
    is what a crash may cost per connection, and all connections together less than 2 % of a large
    blob. Larger pieces cost less time. `slow_seconds` is how long a part may take before somebody
    idle takes over half of it.
    """

    connections: int = 8
    sizes: PartSizes = field(default_factory=PartSizes)
    writes: PartSizes = field(default_factory=lambda: PartSizes(256 << 10, 4 << 20, 512))
    write_seconds: float = 1.0
    slow_seconds: float = 5.0
    smallest_split: int = 1 << 20
    patience: Patience = field(default_factory=Patience)


class Download:
    """The loading of one blob; `run` it once, look at `completed` meanwhile.

    Whatever ends it, what has come stays on the disk for another time, unless it is wrong.
    """

    def __init__(
        self,
        layout: Layout,
        workers: Workers,
        digest: Digest,
        source: BlobSource,
        tuning: Tuning,
    ) -> None:
        self._layout, self._workers, self._tuning = layout, workers, tuning
        self._source, self.digest, self.total = source, digest, source.size
        self._elsewhere = 0
        self._schedule = Schedule(())
        self._changed, self._all_done = asyncio.Event(), asyncio.Event()

    @property
    def completed(self) -> int:
        """How many bytes of `total` are on the disk."""
        return self._schedule.completed or self._elsewhere

    async def run(self) -> None:
        """Load the blob and publish it.

        Raises:
            TransferFailed, NotInRegistry, AccessDenied: it does not come.
            ContentMismatch: it came and is not what its digest says; it was deleted.
            StorageFailed: the disk is full or broken.
        """
        async with self._partial() as file:
            if file is None:
                return
            await self._load(file)
            await self._workers.run(file.hash_to, self.total)
            if file.found != self.digest and not await self._mender(file).mend():
                await self._workers.run(file.discard)
                raise ContentMismatch(str(self.digest), str(file.found))
            await self._workers.run(file.publish)

    @contextlib.asynccontextmanager
    async def _partial(self) -> AsyncIterator[PartialFile | None]:
        """Open the file; None when another process has loaded the blob meanwhile."""
        file = await self._opened()
        try:
            yield file
        finally:
            if file is not None:
                await self._workers.run(file.close)

    async def _opened(self) -> PartialFile | None:
        while True:
            with contextlib.suppress(InUse):
                return await self._workers.run(PartialFile, self._layout, self.digest, self.total)
            ledger = Ledger(self._layout.partial(self.digest))
            self._elsewhere = await self._workers.run(ledger.completed, self.total)
            await self._tuning.patience.sleep(_NEXT_LOOK_SECONDS)
            if await self._workers.run(is_regular, self._layout.blob(self.digest)):
                return None

    async def _load(self, file: PartialFile) -> None:
        size = self._tuning.sizes.of(self.total)
        self._schedule = Schedule(await self._workers.run(file.parts, size))
        try:
            await self._work(file, self._tuning.connections)
        except RangesRefused:
            # The file comes as a whole or not at all, so that all of it is one part.
            whole = Part(0, 0, self.total, self._schedule.frontier)
            self._schedule = Schedule([whole])
            await self._workers.run(file.ledger.remove)
            await self._workers.run(file.record, whole)
            await self._work(file, 1)

    async def _work(self, file: PartialFile, connections: int) -> None:
        fetching = [self._fetch_parts(file) for _ in range(connections)]
        await together([self._hash(file), *fetching])

    async def _hash(self, file: PartialFile) -> None:
        """Take what has come without a gap into the hash, while the rest is coming."""
        while file.hashed < self.total:
            await self._changed.wait()
            self._changed.clear()
            if self._schedule.frontier > file.hashed:
                await self._workers.run(file.hash_to, self._schedule.frontier)
            if self._schedule.is_done:
                return

    async def _fetch_parts(self, file: PartialFile) -> None:
        loop = asyncio.get_running_loop()
        while not self._schedule.is_done:
            found = self._schedule.begin(loop.time())
            if found is not None:
                await self._fetch(file, found)
            elif not await self._help(file):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_NEXT_LOOK_SECONDS):
                        await self._all_done.wait()
        self._all_done.set()
        self._changed.set()

    async def _fetch(self, file: PartialFile, found: Fetch) -> None:
        target = _PartTarget(file, self._workers, found, self._tuning, self._changed)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as found.scope:
                    await fetch(self._source, target, self._tuning.patience)
        finally:
            self._schedule.end(found)
            self._changed.set()

    async def _help(self, file: PartialFile) -> bool:
        """Take over what a slow connection has not brought yet; tell whether there is such."""
        loop = asyncio.get_running_loop()
        slow = self._schedule.slowest(
            loop.time(),
            patience=self._tuning.slow_seconds,
            smallest=self._tuning.smallest_split,
        )
        if slow is None:
            return False
        is_silent = loop.time() - slow.heard >= self._tuning.slow_seconds
        new = self._schedule.split(slow, is_silent=is_silent)
        if slow.missing == 0 and slow.scope is not None:
            slow.scope.reschedule(loop.time())
        # The new one first: what is told twice is harmless, what is not told is lost.
        await self._workers.run(file.record, new, slow.part)
        return True

    def _mender(self, file: PartialFile) -> Mender:
        parts = [Span(part.start, part.stop) for part in self._schedule.parts]
        return Mender(file, self._workers, self._source, parts, self._tuning.patience)


class _PartTarget:
    """Takes the bytes of a part and writes them in large pieces."""

    def __init__(
        self,
        file: PartialFile,
        workers: Workers,
        running: Fetch,
        tuning: Tuning,
        changed: asyncio.Event,
    ) -> None:
        self._file, self._workers, self._running = file, workers, running
        self._changed = changed
        self._write_size, self._write_seconds = tuning.writes.of(file.size), tuning.write_seconds
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._stored_at = self._clock()

    @property
    def missing(self) -> Span:
        return Span(self._running.received, self._running.part.stop)

    def take(self, chunk: bytes) -> bool:
        room = self._running.missing
        if len(chunk) > room:
            chunk = chunk[:room]
        self._chunks.append(chunk)
        self._n_bytes += len(chunk)
        now = self._clock()
        self._running.receive(len(chunk), now)
        return self._n_bytes >= self._write_size or now - self._stored_at >= self._write_seconds

    async def store(self) -> None:
        self._stored_at = self._clock()
        if not self._n_bytes:
            return
        chunks, self._chunks, self._n_bytes = self._chunks, [], 0
        await self._workers.run(self._file.write, self._running.part, chunks)
        self._changed.set()
