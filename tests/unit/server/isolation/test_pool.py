"""Jobs share a few workers; one that ends its worker harms no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server.isolation.errors import Crashed, Overrun, Unavailable, WorkerError
from server.isolation.pool import WorkerPool
from server.isolation.process import Worker, WorkerProcess
from tests.support.trial_worker import LIMITS, MODULE

pytestmark = pytest.mark.anyio


class FakeWorker:
    """Answers when the test says so; a job that names an error raises it."""

    def __init__(self) -> None:
        self.is_alive, self.is_closed = True, False
        self.go_on = asyncio.Event()
        self.jobs: list[bytes] = []

    async def call(self, job: bytes) -> memoryview:
        self.jobs.append(job)
        if job == b"wait":
            await self.go_on.wait()
        if error := {b"overrun": Overrun, b"crash": Crashed, b"late": Unavailable}.get(job):
            self.is_alive = False
            raise error
        return memoryview(job)

    async def close(self) -> None:
        self.is_alive, self.is_closed = False, True


class Fakes:
    """Starts fake workers and keeps them in order; `refused` starts fail."""

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.refused = 0

    async def start(self) -> Worker:
        await asyncio.sleep(0)
        if self.refused:
            self.refused -= 1
            raise Unavailable
        self.workers.append(FakeWorker())
        return self.workers[-1]


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@asynccontextmanager
async def opened(
    start: Callable[[], "asyncio.Future[Worker]"] | object,
    *,
    size: int = 2,
    n_kept: int = 1,
    idle_seconds: float = 60.0,
) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(start, size=size, n_kept=n_kept, idle_seconds=idle_seconds)  # type: ignore[arg-type]
    try:
        yield pool
    finally:
        await pool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of what the pool does inside, nothing is told
            await asyncio.sleep(0.001)


async def test_one_worker_is_enough_for_jobs_that_come_one_after_another(fakes: Fakes) -> None:
    async with opened(fakes.start) as pool:
        for number in range(9):
            assert await pool.call(b"%d" % number) == b"%d" % number
        assert len(fakes.workers) == 1
    assert fakes.workers[0].is_closed


async def test_a_job_that_waits_gets_a_second_worker(fakes: Fakes) -> None:
    async with opened(fakes.start) as pool:
        slow = asyncio.ensure_future(pool.call(b"wait"))
        await until(lambda: bool(fakes.workers and fakes.workers[0].jobs))
        assert await pool.call(b"a") == b"a"
        assert [worker.jobs for worker in fakes.workers] == [[b"wait"], [b"a"]]
        fakes.workers[0].go_on.set()
        assert await slow == b"wait"


async def test_there_are_never_more_workers_than_allowed(fakes: Fakes) -> None:
    async with opened(fakes.start, size=2) as pool:
        slow = [asyncio.ensure_future(pool.call(b"wait")) for _ in range(5)]
        await until(lambda: sum(len(worker.jobs) for worker in fakes.workers) == 2)
        await asyncio.sleep(0.05)
        assert len(fakes.workers) == 2
        for worker in fakes.workers:
            worker.go_on.set()
        assert await asyncio.gather(*slow) == [b"wait"] * 5


@pytest.mark.parametrize(
    ("job", "error", "tries"), [(b"overrun", Overrun, 1), (b"crash", Crashed, 2)]
)
async def test_a_job_that_ends_its_worker_fails_and_others_do_not(
    fakes: Fakes, job: bytes, error: type[WorkerError], tries: int
) -> None:
    """One that crashed is tried once more: what ended the worker may have come from outside."""
    async with opened(fakes.start, size=1) as pool:
        jobs = [asyncio.ensure_future(pool.call(each)) for each in (job, b"a", b"b")]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(results[0], error)
        assert results[1:] == [b"a", b"b"]
        assert sum(worker.jobs.count(job) for worker in fakes.workers) == tries


async def test_a_worker_that_died_while_idle_is_replaced_unseen(fakes: Fakes) -> None:
    async with opened(fakes.start) as pool:
        await pool.call(b"a")
        fakes.workers[0].is_alive = False
        assert await pool.call(b"b") == b"b"
        assert fakes.workers[0].is_closed


async def test_keys_that_overran_share_one_worker(fakes: Fakes) -> None:
    """However many hostile templates there are, the other workers stay free for the rest."""
    async with opened(fakes.start, size=3) as pool:
        for key in ("evil", "worse"):
            with pytest.raises(Overrun):
                await pool.call(b"overrun", key)
        slow = [asyncio.ensure_future(pool.call(b"wait", key)) for key in ("evil", "worse") * 2]
        await until(lambda: any(worker.jobs == [b"wait"] for worker in fakes.workers))
        await asyncio.sleep(0.05)
        assert sum(worker.jobs.count(b"wait") for worker in fakes.workers) == 1
        assert await pool.call(b"a", "good") == b"a"
        while not all(job.done() for job in slow):
            for worker in fakes.workers:
                worker.go_on.set()
            await asyncio.sleep(0.001)
        assert await asyncio.gather(*slow) == [b"wait"] * 4


async def test_jobs_fail_when_no_worker_can_be_started(fakes: Fakes) -> None:
    fakes.refused = 2
    async with opened(fakes.start) as pool:
        with pytest.raises(Unavailable):
            await pool.call(b"a")
        assert await pool.call(b"b") == b"b"


async def test_a_client_that_leaves_takes_nobody_s_worker(fakes: Fakes) -> None:
    async with opened(fakes.start, size=1) as pool:
        slow = asyncio.ensure_future(pool.call(b"wait"))
        left = asyncio.ensure_future(pool.call(b"left"))
        last = asyncio.ensure_future(pool.call(b"last"))
        await until(lambda: bool(fakes.workers and fakes.workers[0].jobs))
        left.cancel()
        await asyncio.wait([left])
        fakes.workers[0].go_on.set()
        assert await slow == b"wait"
        assert await last == b"last"


async def test_a_client_that_leaves_while_its_job_runs_ends_that_worker(fakes: Fakes) -> None:
    async with opened(fakes.start, size=1) as pool:
        slow = asyncio.ensure_future(pool.call(b"wait"))
        await until(lambda: bool(fakes.workers and fakes.workers[0].jobs))
        slow.cancel()
        await asyncio.wait([slow])
        assert fakes.workers[0].is_closed
        assert await pool.call(b"a") == b"a"


async def test_idle_workers_end_except_those_that_stay(fakes: Fakes) -> None:
    async with opened(fakes.start, size=3, n_kept=1, idle_seconds=0.01) as pool:
        slow = [asyncio.ensure_future(pool.call(b"wait")) for _ in range(3)]
        await until(lambda: len(fakes.workers) == 3)
        await until(lambda: all(worker.jobs for worker in fakes.workers))
        for worker in fakes.workers:
            worker.go_on.set()
        await asyncio.gather(*slow)
        await until(lambda: sum(worker.is_closed for worker in fakes.workers) == 2)
        await asyncio.sleep(0.05)
        assert sum(worker.is_alive for worker in fakes.workers) == 1


async def test_a_worker_that_was_started_before_the_first_job_gets_it(fakes: Fakes) -> None:
    async with opened(fakes.start) as pool:
        pool.prestart()
        pool.prestart()
        await until(lambda: len(fakes.workers) == 1)
        assert await pool.call(b"a") == b"a"
        assert len(fakes.workers) == 1


async def test_a_closed_pool_takes_no_jobs(fakes: Fakes) -> None:
    async with opened(fakes.start) as pool:
        pool.prestart()
    with pytest.raises(Unavailable):
        await pool.call(b"a")
    assert all(worker.is_closed for worker in fakes.workers)


async def test_processes_that_are_killed_stopped_or_hung_harm_only_their_own_job() -> None:
    """The same with real processes."""

    async def start() -> WorkerProcess:
        return await WorkerProcess.start(MODULE, LIMITS)

    hostile = [b"compute", b"hold", b"exit", b"crash", b"garbage", b"stop", b"raise"]
    async with opened(start, size=2) as pool:
        jobs = [pool.call(job) for job in (*hostile, *(b"echo %d" % n for n in range(20)))]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert [isinstance(result, WorkerError) for result in results[:7]] == [True] * 7
        assert results[7:] == [b"%d" % n for n in range(20)]
