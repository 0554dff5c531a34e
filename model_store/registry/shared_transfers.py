"""Work that several clients wait for: done once, and given up when the last of them leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class Job(Protocol):
    """A piece of work that can be told how far it is."""

    @property
    def total(self) -> int:
        """All of it, in bytes."""

    @property
    def completed(self) -> int:
        """What is done of it."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Do it."""


_JobT = TypeVar("_JobT", bound=Job)


@dataclass(slots=True, eq=False)
class _Shared(Generic[_JobT]):
    job: _JobT
    task: "asyncio.Task[None]"
    n_clients: int = 0
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class Transfer(Generic[_JobT]):
    """A job as one of its clients sees it; `is_own` unless it was under way already."""

    job: _JobT
    task: "asyncio.Task[None]"
    is_own: bool

    async def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; tell whether it has come. Raises what the job did."""
        done, _ = await asyncio.wait([self.task], timeout=seconds)
        if not done:
            return False
        if self.task.cancelled():
            raise RuntimeError("a transfer was cancelled while somebody waited for it")
        self.task.result()
        return True


class Transfers(Generic[_JobT]):
    """The jobs that are under way, by what they are about."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, _Shared[_JobT]] = {}

    @contextlib.asynccontextmanager
    async def join(
        self, key: Hashable, start: Callable[[], _JobT]
    ) -> AsyncIterator[Transfer[_JobT]]:
        """Take part in the job for `key`; `start` makes it if there is none.

        When the block is left by the last client, a job that has not ended is cancelled, and has
        saved what it did by then.
        """
        while (shared := self._shared.get(key)) is not None and shared.is_ending:
            await asyncio.wait([shared.task])
            # Whoever cancelled it takes it off the list in the next moment.
            await asyncio.sleep(0)
        is_own = shared is None or shared.task.done()
        if shared is None or is_own:
            job = start()
            shared = _Shared(job, asyncio.ensure_future(job.run()))
            self._shared[key] = shared
        shared.n_clients += 1
        try:
            yield Transfer(shared.job, shared.task, is_own)
        finally:
            shared.n_clients -= 1
            if shared.n_clients == 0:
                await self._end(key, shared)

    async def _end(self, key: Hashable, shared: _Shared[_JobT]) -> None:
        shared.is_ending = True
        shared.task.cancel()
        ending = asyncio.ensure_future(asyncio.wait([shared.task]))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait([ending])
            raise
        finally:
            if self._shared.get(key) is shared:
                del self._shared[key]
            if not shared.task.cancelled():
                shared.task.exception()  # it was told to those who waited, or nobody did
