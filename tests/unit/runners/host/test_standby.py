"""The runner that is kept ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from runners.host.errors import RunnerDied
from runners.host.process import RunnerProcess
from runners.host.standby import Standby
from tests.support.runners import start_fake_runner

pytestmark = pytest.mark.anyio


class Starter:
    """Starts scripted runners and remembers them."""

    def __init__(self) -> None:
        self.started: list[RunnerProcess] = []
        self._news = asyncio.Condition()

    async def __call__(self) -> RunnerProcess:
        runner = await start_fake_runner()
        self.started.append(runner)
        async with self._news:
            self._news.notify_all()
        return runner

    async def has(self, count: int) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: len(self.started) >= count)


@asynccontextmanager
async def running(standby: Standby) -> AsyncIterator[None]:
    task = asyncio.create_task(standby.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_standby_is_handed_out_and_replaced_when_asked() -> None:
    start = Starter()
    standby = Standby(start, delay=0.0)
    async with running(standby):
        standby.refill()
        await start.has(1)
        first = await standby.take()
        assert first is start.started[0]
        await asyncio.sleep(0.05)
        assert len(start.started) == 1, "starting one during the load would slow the load"
        standby.refill()
        await start.has(2)
        await first.close()
    assert not any(psutil.pid_exists(runner.pid) for runner in start.started)


async def test_standby_does_not_start_while_another_runner_computes() -> None:
    """A start takes a second of a core: the first prompt after a load would take longer."""
    start = Starter()
    standby = Standby(start, delay=0.01)
    async with running(standby):
        runner = await standby.take()
        request, _ = runner.connection.open_request()
        standby.refill()
        await asyncio.sleep(0.1)
        assert start.started == [runner]
        runner.connection.close_request(request)
        await start.has(2)
        await runner.close()


async def test_standby_starts_at_last_beside_a_runner_that_always_computes() -> None:
    """A server that is always busy loads its next model fast, too."""
    start = Starter()
    standby = Standby(start, delay=0.01, max_wait=0.05)
    async with running(standby):
        runner = await standby.take()
        runner.connection.open_request()
        standby.refill()
        await start.has(2)
        await runner.close()


async def test_taking_waits_for_a_standby_that_is_being_started() -> None:
    start = Starter()
    standby = Standby(start)
    async with running(standby):
        standby.refill()
        await asyncio.sleep(0.01)
        runner = await standby.take()
        assert start.started == [runner]
        await runner.close()


async def test_two_takers_never_get_the_same_runner() -> None:
    start = Starter()
    standby = Standby(start)
    async with running(standby):
        standby.refill()
        await asyncio.sleep(0.01)
        one, two = await asyncio.gather(standby.take(), standby.take())
        assert one is not two
        await one.close()
        await two.close()


async def test_standby_that_died_meanwhile_is_replaced_by_a_fresh_one() -> None:
    start = Starter()
    standby = Standby(start)
    async with running(standby):
        standby.refill()
        await start.has(1)
        await asyncio.sleep(0.01)
        psutil.Process(start.started[0].pid).kill()
        await start.started[0].died
        runner = await standby.take()
        assert runner is start.started[1]
        assert not runner.died.done()
        await runner.close()


async def test_standby_that_died_is_replaced_before_it_is_needed() -> None:
    start = Starter()
    standby = Standby(start, delay=0.0, replace_delay=0.0)
    async with running(standby):
        standby.refill()
        await start.has(1)
        psutil.Process(start.started[0].pid).kill()
        await start.has(2)
    assert not any(psutil.pid_exists(runner.pid) for runner in start.started)


async def test_standby_that_was_taken_is_not_replaced_when_it_dies() -> None:
    start = Starter()
    standby = Standby(start, delay=0.0, replace_delay=0.0)
    async with running(standby):
        standby.refill()
        await start.has(1)
        runner = await standby.take()
        await runner.close()
        await asyncio.sleep(0.05)
        assert len(start.started) == 1


async def test_standby_that_cannot_start_is_reported_to_whoever_needs_one() -> None:
    async def start() -> RunnerProcess:
        return await start_fake_runner("--silent")

    standby = Standby(start)
    async with running(standby):
        standby.refill()
        with pytest.raises(RunnerDied):
            await standby.take()


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1])
async def test_standby_that_is_being_started_at_the_end_is_not_left_behind(delay: float) -> None:
    before = len(psutil.Process().children())
    standby = Standby(start_fake_runner)
    async with running(standby):
        standby.refill()
        await asyncio.sleep(delay)
    assert len(psutil.Process().children()) == before


async def test_it_is_known_whether_runners_can_be_started() -> None:
    """A probe that asks must not have to start one."""
    failures = [RunnerDied("no memory"), None]

    async def start() -> RunnerProcess:
        failure = failures.pop(0)
        if failure is not None:
            raise failure
        return await start_fake_runner()

    standby = Standby(start)
    assert standby.can_start

    with pytest.raises(RunnerDied):
        await standby.take()
    assert not standby.can_start

    await (await standby.take()).close()
    assert standby.can_start
