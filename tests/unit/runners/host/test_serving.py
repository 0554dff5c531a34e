"""The scheduler with real processes, from a cold start to the end of the server."""

import asyncio

import psutil
import pytest

from runners.host.errors import LoadTimeout, RunnerDied
from runners.host.liveness import ProbeConfig
from runners.host.machine import LocalMachine
from runners.host.model_request import SchedulerConfig
from runners.host.process import RunnerProcess
from runners.host.scheduler import Scheduler
from runners.host.standby import Standby
from runners.protocol.messages import Chunk, Generate
from tests.support.models import model_request
from tests.support.runners import start_fake_gpu_runner, start_fake_runner

pytestmark = pytest.mark.anyio


def scheduler(**settings: float) -> Scheduler:
    config = SchedulerConfig(**settings)
    return Scheduler(config, machine=LocalMachine(Standby(start_fake_runner)))


async def say(served: Scheduler, prompt: str, model: str = "a") -> str:
    async with served.lease(model_request(model)) as lease:
        events = [event async for event in lease.runner.generate(Generate(id=0, prompt=prompt))]
    return "".join(event.text for event in events if isinstance(event, Chunk))


async def test_models_are_loaded_used_and_gone_with_the_server() -> None:
    before = len(psutil.Process().children())
    async with scheduler() as served:
        assert await say(served, "good morning") == "good morning "
        both = await asyncio.gather(say(served, "one", "b"), say(served, "two", "a"))
        assert both == ["one ", "two "]
        assert len(served.status()) == 2
    assert len(psutil.Process().children()) == before


async def test_killed_runner_costs_its_own_requests_alone() -> None:
    async with scheduler() as served:
        async with served.lease(model_request("a")) as lease:
            doomed = asyncio.create_task(say(served, "forever"))
            others = asyncio.create_task(say(served, "word " * 50, "b"))
            await lease.runner.stats()
            await asyncio.sleep(0.02)
            with pytest.raises(RunnerDied):
                await say(served, "die")
            with pytest.raises(RunnerDied):
                await doomed
        assert await others == "word " * 50
        assert await say(served, "again") == "again "


async def test_request_tried_again_at_once_does_not_get_the_runner_that_hung() -> None:
    started: list[RunnerProcess] = []

    async def start() -> RunnerProcess:
        probe = ProbeConfig(interval=0.05, silence=0.5)
        started.append(await start_fake_runner(probe=probe))
        return started[-1]

    async with Scheduler(SchedulerConfig(), machine=LocalMachine(Standby(start))) as served:
        async with served.lease(model_request("a")) as lease:
            # Not simply the first that was started: a standby may start at the same time.
            [loaded] = [each for each in started if each.client is lease.runner]
        psutil.Process(loaded.pid).suspend()
        with pytest.raises(RunnerDied):
            await say(served, "deaf")
        assert await say(served, "again") == "again "


async def test_load_that_hangs_ends_in_a_timeout_and_holds_up_nothing_after_it() -> None:
    async with scheduler(load_timeout=0.2) as served:
        with pytest.raises(LoadTimeout):
            await say(served, "x", "stall")
        assert await say(served, "fine") == "fine "


async def test_layers_go_to_the_gpu_that_the_runner_reports() -> None:
    machine = LocalMachine(Standby(start_fake_gpu_runner))
    async with (
        Scheduler(SchedulerConfig(), machine=machine) as served,
        served.lease(model_request("a")) as lease,
    ):
        assert lease.ready.n_gpu_layers == 3


async def test_running_request_is_finished_when_the_server_closes() -> None:
    async with scheduler(grace_period=30.0) as served:
        words = "word " * 100
        async with served.lease(model_request("a")):
            speaking = asyncio.create_task(say(served, words))
            await asyncio.sleep(0.02)
        await served.shutdown()
        assert await speaking == words
