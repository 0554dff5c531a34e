"""Runners that only tokenise: shared, kept for a while, and never left behind."""

import asyncio
import errno
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runners.host.errors import CannotStart, LoadFailed, ShuttingDown
from runners.host.model_request import SchedulerConfig
from runners.host.scheduler import Scheduler
from runners.host.tokenizer_runners import IDLE_SECONDS, MAX_IDLE
from tests.support.clock import FakeClock
from tests.support.fake_machine import FakeMachine
from tests.support.models import model_request

pytestmark = pytest.mark.anyio

A, B, C = (Path(f"/models/{name}.gguf") for name in "abc")


@dataclass
class World:
    """A scheduler and what it runs on."""

    scheduler: Scheduler
    machine: FakeMachine
    clock: FakeClock

    async def use(self, weights: Path) -> None:
        async with self.scheduler.tokenizer(weights):
            pass
        await settled()

    @property
    def running(self) -> list[str]:
        return [runner.spec.weights for runner in self.machine.running if runner.spec]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def world(**fields: object) -> AsyncIterator[World]:
    machine, clock = FakeMachine(**fields), FakeClock()
    config = replace(SchedulerConfig(), grace_period=0.0)
    async with Scheduler(config, machine=machine, clock=clock) as scheduler:
        yield World(scheduler, machine, clock)
    assert machine.running == [], "a runner outlived the scheduler"
    assert clock.live() == [], "a timer outlived the scheduler"


async def test_a_runner_loads_the_vocabulary_only_and_serves_again() -> None:
    async with world() as w:
        await w.use(A)
        await w.use(A)

        [loaded] = w.machine.loads
        assert loaded.spec is not None
        assert loaded.spec.vocab_only
        assert w.scheduler.status() == (), "it is no loaded model"


async def test_requests_at_once_share_one_load() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        tasks = [asyncio.create_task(w.use(A)) for _ in range(5)]
        await settled()
        w.machine.may_load.set()
        await asyncio.gather(*tasks)

        assert len(w.machine.loads) == 1


async def test_a_loaded_model_tokenises_itself() -> None:
    async with world() as w:
        async with w.scheduler.lease(model_request("a")) as lease, w.scheduler.tokenizer(A) as same:
            assert same is lease.runner
        assert len(w.machine.loads) == 1


async def test_nothing_is_evicted_for_a_vocabulary() -> None:
    async with world() as w:
        for name in "abc":
            async with w.scheduler.lease(model_request(name)):
                pass
        await w.use(Path("/models/d.gguf"))

        assert len(w.scheduler.status()) == 3


async def test_it_ends_after_a_while_without_use() -> None:
    async with world() as w:
        await w.use(A)
        w.clock.advance(IDLE_SECONDS - 1)
        await w.use(A)
        w.clock.advance(IDLE_SECONDS - 1)
        await settled()
        assert w.running == [str(A)]

        w.clock.advance(1)
        await settled()
        assert w.running == []


async def test_one_in_use_stays_whatever_the_time() -> None:
    async with world() as w, w.scheduler.tokenizer(A):
        w.clock.advance(10 * IDLE_SECONDS)
        await settled()
        assert w.running == [str(A)]


async def test_only_so_many_are_kept() -> None:
    async with world() as w:
        for weights in (A, B, C):
            await w.use(weights)
            w.clock.advance(1)

        assert w.running == [str(B), str(C)][-MAX_IDLE:]


async def test_a_failed_load_is_told_to_all_who_wait_and_may_be_tried_again() -> None:
    failures = deque([LoadFailed("damaged"), None])
    async with world(failures=failures) as w:
        w.machine.may_load.clear()
        tasks = [asyncio.create_task(w.use(A)) for _ in range(2)]
        await settled()
        w.machine.may_load.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["damaged", "damaged"]

        await w.use(A)


async def test_one_that_cannot_be_started_may_be_tried_again() -> None:
    async with world() as w:
        w.machine.refusals.append(CannotStart(OSError(errno.EAGAIN, "")))
        with pytest.raises(CannotStart, match="too many processes are running"):
            await w.use(A)
        await w.use(A)


async def test_one_that_died_is_replaced() -> None:
    async with world() as w:
        await w.use(A)
        w.machine.running[0].die()
        await settled()
        await w.use(A)

        assert len(w.machine.loads) == 2


async def test_a_client_that_leaves_during_the_load_harms_nobody() -> None:
    async with world() as w:
        w.machine.may_load.clear()
        unloading, staying = asyncio.create_task(w.use(A)), asyncio.create_task(w.use(A))
        await settled()
        unloading.cancel()
        await settled()
        w.machine.may_load.set()
        await staying

        assert unloading.cancelled()


async def test_closing_ends_them_all_loading_or_in_use() -> None:
    async with world() as w, AsyncExitStack() as stack:
        await stack.enter_async_context(w.scheduler.tokenizer(A))
        w.machine.may_load.clear()
        waiting = asyncio.create_task(w.use(B))
        await settled()

        await w.scheduler.shutdown()

        assert w.machine.running == []
        with pytest.raises(ShuttingDown):
            await waiting
        with pytest.raises(ShuttingDown):
            await w.use(C)


async def test_a_runner_that_hangs_is_replaced_by_the_next_use() -> None:
    async with world() as w:
        await w.use(A)
        (hung,) = w.machine.running
        hung.hang()
        await settled()
        await w.use(A)
        assert w.machine.running[-1] is not hung
        hung.die()
