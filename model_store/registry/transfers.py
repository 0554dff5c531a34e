"""Transfers of blobs: their progress, and one shared transfer for all clients that wait for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from model_store.thread_calls import wait_for_end


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """A step, or the state of one layer: `completed` of `total` bytes of the blob `digest`."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class Job(Protocol):
    """A transfer of one blob; sizes in bytes."""

    @property
    def total(self) -> int:
        """Size of the blob."""

    @property
    def completed(self) -> int:
        """How much of it is transferred."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Transfer it."""


_JobT = TypeVar("_JobT", bound=Job)


@dataclass(slots=True, eq=False)
class _Shared(Generic[_JobT]):
    job: _JobT
    task: "asyncio.Task[None]"
    n_clients: int = 0
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class Transfer(Generic[_JobT]):
    """A job as one of its clients sees it; `is_own` unless another client had started it."""

    job: _JobT
    task: "asyncio.Task[None]"
    is_own: bool

    async def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether the job has ended. Raises what the job raised."""
        done, _ = await asyncio.wait([self.task], timeout=seconds)
        if not done:
            return False
        if self.task.cancelled():
            raise RuntimeError("a transfer was cancelled while a client waited for it")
        self.task.result()
        return True


class SharedTransfers(Generic[_JobT]):
    """The running jobs by key."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, _Shared[_JobT]] = {}

    @contextlib.asynccontextmanager
    async def join(
        self, key: Hashable, start: Callable[[], _JobT]
    ) -> AsyncIterator[Transfer[_JobT]]:
        """Take part in the job for `key`; `start` makes it if there is none.

        When the last client leaves the block, a job that has not ended is cancelled, and has
        saved its state by then.
        """
        while (shared := self._shared.get(key)) is not None and shared.is_ending:
            await asyncio.wait([shared.task])
            # Whoever cancelled it removes it in the next iteration of the event loop.
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
        try:
            await wait_for_end(shared.task)
        finally:
            if self._shared.get(key) is shared:
                del self._shared[key]
            if not shared.task.cancelled():
                shared.task.exception()  # its clients have seen it, or there were none
