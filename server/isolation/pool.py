"""A few worker processes that share the jobs, and the fate of those whose jobs end them."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Final

from server.isolation.errors import Crashed, Overrun, Unavailable, WorkerError
from server.isolation.process import Worker

_PATIENCE: Final = 0.02
"""Seconds that a job waits for a worker before another one is started."""
_MAX_SUSPECTS: Final = 256
_TRIES: Final = 2

Start = Callable[[], Awaitable[Worker]]


class WorkerPool:
    """Gives each job a worker of its own; at most `size` run at once, `n_kept` stay when idle.

    A job that ends its worker harms no other: those that wait get the next one. A worker that
    was lost through no fault of the job's is replaced and the job tried once more. Jobs with a
    key whose job overran before take turns, so that all of them together occupy one worker.
    """

    def __init__(
        self, start: Start, *, size: int, n_kept: int = 0, idle_seconds: float = 60.0
    ) -> None:
        self._start = start
        self._size, self._n_kept, self._idle_seconds = size, n_kept, idle_seconds
        self._idle: list[Worker] = []
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._n_running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._suspects: OrderedDict[Hashable, None] = OrderedDict()
        self._suspects_turn = asyncio.Lock()
        self._sweep: asyncio.TimerHandle | None = None
        self._n_unused = 0
        self._is_closed = False

    def prestart(self) -> None:
        """Have a worker ready before the first job, unless there is one."""
        if self._n_running == 0:
            self._grow()

    async def call(self, job: bytes, key: Hashable = None) -> memoryview:
        """Return the answer to `job`; `key` names whatever is to blame if it overruns.

        Raises:
            Overrun: it took too much memory or CPU time.
            Crashed: it ended two workers.
            Unavailable: no worker can be started, or the machine has no time for one.
        """
        if key not in self._suspects:
            return await self._try(job, key)
        async with self._suspects_turn:
            return await self._try(job, key)

    async def close(self) -> None:
        """End all workers; jobs that wait fail."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._fail_waiting()
        while self._idle:
            await self._drop(self._idle.pop())

    async def _try(self, job: bytes, key: Hashable) -> memoryview:
        for left in reversed(range(_TRIES)):
            try:
                return await self._answer(job)
            except Overrun:
                self._suspect(key)
                raise
            except WorkerError as e:
                if left and not self._is_closed:
                    continue
                if isinstance(e, Crashed):
                    self._suspect(key)
                raise
        raise AssertionError("unreachable")

    async def _answer(self, job: bytes) -> memoryview:
        worker = await self._take()
        answered = False
        try:
            answer = await worker.call(job)
            answered = True
            return answer
        finally:
            if answered and not self._is_closed:
                self._give(worker)
            else:
                await self._drop(worker)

    async def _take(self) -> Worker:
        """Return a worker for one job; it comes back by `_give` or `_drop`."""
        if self._is_closed:
            raise Unavailable
        while self._idle:
            worker = self._idle.pop()
            self._n_unused = min(self._n_unused, len(self._idle))
            if worker.is_alive:
                return worker
            await self._drop(worker)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Worker] = loop.create_future()
        self._waiting.append(waiter)
        growing = loop.call_later(_PATIENCE if self._n_running else 0.0, self._grow_for_waiting)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give(waiter.result())
            raise
        finally:
            growing.cancel()

    def _give(self, worker: Worker) -> None:
        """Hand a worker to the job that waits longest, or keep it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._idle.append(worker)
        if self._sweep is None:
            self._watch_idle()

    def _watch_idle(self) -> None:
        """Look in a while at how many idle workers had no job until then."""
        self._sweep = None
        if self._idle and self._n_running > self._n_kept and not self._is_closed:
            self._n_unused = len(self._idle)
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._idle_seconds, self._end_unused)

    async def _drop(self, worker: Worker) -> None:
        self._n_running -= 1
        try:
            await worker.close()
        finally:
            self._grow_for_waiting()

    def _end_unused(self) -> None:
        """End the workers that had no job for a while, except those that stay."""
        count = min(self._n_unused, len(self._idle), self._n_running - self._n_kept)
        unused, self._idle[:] = self._idle[:count], self._idle[count:]
        for worker in unused:
            self._run(self._drop(worker))
        self._watch_idle()

    def _grow_for_waiting(self) -> None:
        if any(not waiter.done() for waiter in self._waiting):
            self._grow()

    def _grow(self) -> None:
        if self._n_running < self._size and not self._is_closed:
            self._n_running += 1
            self._run(self._add())

    async def _add(self) -> None:
        try:
            worker = await self._start()
        except BaseException as e:
            self._n_running -= 1
            if isinstance(e, WorkerError) and not self._n_running:
                self._fail_waiting()
            elif not isinstance(e, WorkerError):
                raise
        else:
            self._give(worker)

    def _fail_waiting(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Unavailable())

    def _suspect(self, key: Hashable) -> None:
        if key is not None:
            self._suspects[key] = None
            while len(self._suspects) > _MAX_SUSPECTS:
                self._suspects.popitem(last=False)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
