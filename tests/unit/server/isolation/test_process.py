"""A worker process answers jobs, and one that does not ends: what it did is known, not guessed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from server.isolation.errors import Crashed, Overrun, Unavailable, WorkerError
from server.isolation.limits import Limits
from server.isolation.process import WorkerProcess, worker_environment
from tests.support.trial_worker import LIMITS, MODULE

pytestmark = pytest.mark.anyio

SLOW = replace(LIMITS, cpu_seconds=60.0)
"""For a machine that takes long to give memory."""
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not enforce the limit of memory"
)


@asynccontextmanager
async def started(limits: Limits = LIMITS) -> AsyncIterator[WorkerProcess]:
    worker = await WorkerProcess.start(MODULE, limits)
    try:
        yield worker
    finally:
        await worker.close()


async def failure(worker: WorkerProcess, job: bytes) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        await worker.call(job)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 70_000, 900_000])
async def test_jobs_of_any_size_are_answered(size: int) -> None:
    async with started() as worker:
        for _ in range(3):
            assert await worker.call(b"echo " + b"x" * size) == b"x" * size


@pytest.mark.parametrize("job", [b"compute", b"hold"])
async def test_a_job_that_computes_too_long_is_an_overrun(job: bytes) -> None:
    """In C code as well, which a thread could not be stopped in."""
    async with started() as worker:
        assert isinstance(await failure(worker, job), Overrun)
        assert not worker.is_alive


async def test_the_time_of_earlier_jobs_does_not_count() -> None:
    async with started() as worker:
        for _ in range(1000):
            await worker.call(b"echo " + b"x" * 10_000)
        assert await worker.call(b"echo a") == b"a"


@on_linux
async def test_a_job_that_takes_too_much_memory_is_an_overrun() -> None:
    async with started(SLOW) as worker:
        assert await worker.call(b"allocate 1000000") == b"1000000"
        assert isinstance(await failure(worker, b"allocate 200000000"), Overrun)


@on_linux
async def test_a_process_that_grew_large_ends_after_its_answer() -> None:
    """So that one large job does not keep its memory for good."""
    async with started(SLOW) as worker:
        assert await worker.call(b"keep 70000000") == b""
        await asyncio.wait_for(worker.ended(), 60)
        assert not worker.is_alive


@pytest.mark.parametrize("job", [b"raise", b"exit", b"crash", b"garbage", b"large 2000000"])
async def test_a_job_that_ends_the_process_or_answers_nonsense_is_a_crash(job: bytes) -> None:
    async with started() as worker:
        assert isinstance(await failure(worker, job), Crashed)
        assert not worker.is_alive


async def test_a_process_that_stands_still_is_not_the_fault_of_the_job() -> None:
    async with started() as worker:
        assert isinstance(await failure(worker, b"stop"), Unavailable)


async def test_a_job_that_waits_for_the_processor_in_vain_is_given_up() -> None:
    async with started(replace(LIMITS, cpu_seconds=1000.0, wall_seconds=0.5)) as worker:
        assert isinstance(await failure(worker, b"compute"), Unavailable)


async def test_a_job_that_is_no_longer_needed_ends_its_process() -> None:
    async with started(replace(LIMITS, cpu_seconds=1000.0)) as worker:
        call = asyncio.ensure_future(worker.call(b"compute"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.wait_for(worker.ended(), 60)


@pytest.mark.parametrize("job", [b"open", b"connect"])
async def test_a_worker_can_open_neither_files_nor_sockets(job: bytes) -> None:
    async with started() as worker:
        assert isinstance(await failure(worker, job), Crashed)


async def test_what_a_library_writes_is_no_answer() -> None:
    async with started() as worker:
        assert await worker.call(b"write")
        assert await worker.call(b"echo a") == b"a"


async def test_a_worker_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert not {"HF_TOKEN", "HOME"} & set(worker_environment())
    async with started() as worker:
        names = bytes(await worker.call(b"environment"))
    assert b"HF_TOKEN" not in names
    assert b"HOME" not in names


async def test_a_worker_ends_when_the_server_is_gone() -> None:
    async with started() as worker:
        worker._channel.close()
        await asyncio.wait_for(worker.ended(), 60)


async def test_a_worker_that_was_killed_while_idle_is_known_to_be_dead() -> None:
    async with started() as worker:
        os.kill(worker.pid, signal.SIGKILL)
        await asyncio.wait_for(worker.ended(), 60)
        assert not worker.is_alive
        assert isinstance(await failure(worker, b"echo a"), Crashed)


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(Unavailable):
        await WorkerProcess.start("tests.support.no_such_worker", LIMITS)
