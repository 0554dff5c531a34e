"""Download of one blob: parts in parallel, hashed while they arrive, published when verified."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from model_store.digests import Digest
from model_store.disk import is_regular
from model_store.layout import Layout
from model_store.registry.disk_threads import DiskThreads
from model_store.registry.download.fetch import fetch
from model_store.registry.download.part_repair import PartRepair
from model_store.registry.download.part_target import PartTarget
from model_store.registry.download.partial_file import DownloadInUse, PartialFile, hash_to
from model_store.registry.download.resume_state import ResumeState
from model_store.registry.download.schedule import PartFetch, Schedule
from model_store.registry.errors import ContentMismatch, RangesUnsupported
from model_store.registry.http.blob_source import BlobSource
from model_store.registry.parts import Part, PartSizes, Span
from model_store.registry.retries import Retries, RetryPolicy

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadConfig:
    """How a blob is downloaded; sizes in bytes.

    What arrives of a part is written in pieces of `write_sizes`, or when `write_seconds` have
    passed: that is what a crash may cost per connection, and all connections together less than
    2 % of a large blob. Larger pieces cost less time. After `slow_seconds`, an idle connection
    takes over half of what a slow one has not brought yet.
    """

    connections: int = 8
    part_sizes: PartSizes = field(default_factory=PartSizes)
    write_sizes: PartSizes = field(default_factory=lambda: PartSizes(256 << 10, 4 << 20, 512))
    write_seconds: float = 1.0
    slow_seconds: float = 5.0
    smallest_split: int = 64 << 10
    retries: RetryPolicy = field(default_factory=RetryPolicy)


class Download:
    """The download of one blob; call `run` once, read `completed` meanwhile.

    However it ends, what has arrived stays on the disk to be resumed, unless its digest is wrong.
    """

    def __init__(
        self,
        layout: Layout,
        threads: DiskThreads,
        digest: Digest,
        source: BlobSource,
        config: DownloadConfig,
    ) -> None:
        self._layout, self._threads, self._config = layout, threads, config
        self._source, self.digest, self.total = source, digest, source.size
        self._completed_elsewhere = 0
        self._schedule = Schedule(())
        self._stored, self._all_done = asyncio.Event(), asyncio.Event()

    @property
    def completed(self) -> int:
        """How many bytes of `total` are on the disk."""
        return self._schedule.completed or self._completed_elsewhere

    async def run(self) -> None:
        """Download the blob, verify and publish it.

        Raises:
            TransferFailed, RegistryRefused: the registry does not give it.
            ContentMismatch: its digest is wrong; it was deleted.
            StorageFailed: the disk is full or broken.
        """
        async with self._partial() as file:
            if file is None:
                return
            await self._fetch_all(file)
            await hash_to(file, self.total, self._threads)
            if file.content_digest != self.digest and not await self._repair(file):
                await self._threads.run(file.discard)
                raise ContentMismatch(str(self.digest), str(file.content_digest))
            await self._threads.run(file.publish)

    @contextlib.asynccontextmanager
    async def _partial(self) -> AsyncIterator[PartialFile | None]:
        """Open the partial file; None when another process has downloaded the blob meanwhile."""
        file = await self._open()
        try:
            yield file
        finally:
            if file is not None:
                await self._threads.run(file.close)

    async def _open(self) -> PartialFile | None:
        while True:
            with contextlib.suppress(DownloadInUse):
                return await self._threads.run(PartialFile, self._layout, self.digest, self.total)
            state = ResumeState(self._layout.partial(self.digest))
            self._completed_elsewhere = await self._threads.run(state.completed, self.total)
            await self._config.retries.sleep(_POLL_SECONDS)
            if await self._threads.run(is_regular, self._layout.blob(self.digest)):
                return None

    async def _fetch_all(self, file: PartialFile) -> None:
        size = self._config.part_sizes.of(self.total)
        self._schedule = Schedule(await self._threads.run(file.parts, size))
        try:
            await self._run_connections(file, self._config.connections)
        except RangesUnsupported:
            # The blob can only be downloaded as a whole: one part, by one connection.
            whole = Part(0, 0, self.total, self._schedule.frontier)
            self._schedule = Schedule([whole])
            await self._threads.run(file.reset, whole)
            await self._run_connections(file, 1)

    async def _run_connections(self, file: PartialFile, count: int) -> None:
        retries = Retries(self._config.retries)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hash(file))
                watch = tasks.create_task(retries.watch(self._source.host))
                connections = [
                    tasks.create_task(self._connection(file, retries)) for _ in range(count)
                ]
                await asyncio.wait(connections)
                watch.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _hash(self, file: PartialFile) -> None:
        """Hash what has arrived without a gap, while the rest arrives."""
        while file.hashed < self.total:
            await self._stored.wait()
            self._stored.clear()
            await hash_to(file, self._schedule.frontier, self._threads)
            if self._schedule.is_done:
                return

    async def _connection(self, file: PartialFile, retries: Retries) -> None:
        """Fetch one part after another, then help slower connections."""
        loop = asyncio.get_running_loop()
        while not self._schedule.is_done:
            part_fetch = self._schedule.start(loop.time())
            if part_fetch is not None:
                await self._fetch(file, part_fetch, retries)
            elif not await self._split_slowest(file):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._all_done.wait()
        self._all_done.set()
        self._stored.set()

    async def _fetch(self, file: PartialFile, part_fetch: PartFetch, retries: Retries) -> None:
        target = PartTarget(
            file,
            self._threads,
            part_fetch,
            self._stored,
            write_size=self._config.write_sizes.of(file.size),
            write_seconds=self._config.write_seconds,
        )
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as part_fetch.scope:
                    await fetch(self._source, target, retries)
        finally:
            self._schedule.finish(part_fetch)
            self._stored.set()

    async def _split_slowest(self, file: PartialFile) -> bool:
        """Take over half of what a slow connection has not brought; return whether there is one."""
        loop = asyncio.get_running_loop()
        slow = self._schedule.slowest(
            loop.time(),
            slow_seconds=self._config.slow_seconds,
            smallest=self._config.smallest_split,
        )
        if slow is None:
            return False
        is_silent = loop.time() - slow.last_byte_at >= self._config.slow_seconds
        new = self._schedule.split(slow, is_silent=is_silent)
        if slow.missing == 0 and slow.scope is not None:
            slow.scope.reschedule(loop.time())
        # The new part first: a byte in two parts is fetched twice, a byte in none is lost.
        await self._threads.run(file.record, new, slow.part)
        return True

    async def _repair(self, file: PartialFile) -> bool:
        parts = [Span(part.start, part.stop) for part in self._schedule.parts]
        policy = self._config.retries
        return await PartRepair(file, self._threads, self._source, parts, policy).run()
