"""Runner processes that stop responding are killed, and their requests end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import psutil
import pytest

from runners.host.errors import LoadFailed, QuantizeFailed, RunnerDied
from runners.host.liveness import ProbeConfig
from runners.host.process import RunnerProcess
from runners.host.spawn import Child, LocalChild, spawn
from runners.protocol.messages import Generate
from runners.protocol.quantization import Quantize
from tests.support.runners import load_spec, start_fake_runner

pytestmark = pytest.mark.anyio

NOT_RESPONDING = r"the model runner did not respond for \d+ seconds and was stopped"
NO_PROGRESS = r"the model runner made no progress for \d+ seconds and was stopped"
QUICK = ProbeConfig(interval=0.05, silence=1, busy_silence=10, stall=1, gpu_step=60)
"""For runners that are stopped: whether they are killed sooner does not matter."""
PATIENT = ProbeConfig(interval=0.05, silence=600, busy_silence=600, stall=3, gpu_step=600)
"""For runners that answer pings; a busy machine gives each process some time in three seconds."""
NONE = ProbeConfig(interval=0.05, silence=600, busy_silence=600, stall=600, gpu_step=600)


@asynccontextmanager
async def fake_runner(probe: ProbeConfig = QUICK) -> AsyncIterator[RunnerProcess]:
    runner = await start_fake_runner(probe=probe)
    try:
        yield runner
    finally:
        await runner.close()


async def consume(runner: RunnerProcess, prompt: str) -> list[object]:
    return [event async for event in runner.client.generate(Generate(id=0, prompt=prompt))]


async def test_a_stopped_idle_runner_is_killed() -> None:
    async with fake_runner() as runner:
        os.kill(runner.pid, signal.SIGSTOP)
        died = await asyncio.wait_for(runner.died, 20)
        assert died.can_retry
        assert runner.lost.done()
        assert not psutil.pid_exists(runner.pid)


async def test_each_request_of_a_stopped_runner_ends_with_an_error_of_its_own() -> None:
    async with fake_runner() as runner:
        calls = [
            asyncio.create_task(consume(runner, "forever")),
            asyncio.create_task(consume(runner, "deaf")),
            asyncio.create_task(runner.client.tokenize("a")),
            asyncio.create_task(runner.client.embed(["a"])),
        ]
        os.kill(runner.pid, signal.SIGSTOP)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        errors = [end for end in ends if isinstance(end, RunnerDied)]
        assert len(errors) >= 2, "what was stopped before it was answered"
        assert len(set(map(id, errors))) == len(errors)
        for error in errors:
            assert error.can_retry
            with pytest.raises(RunnerDied, match=NOT_RESPONDING):
                raise error


async def test_a_runner_that_is_stopped_while_it_loads_fails_the_load() -> None:
    async with fake_runner() as runner:
        load = asyncio.create_task(runner.load(load_spec("/models/stall.gguf"), stall_timeout=600))
        await asyncio.sleep(0)
        os.kill(runner.pid, signal.SIGSTOP)
        with pytest.raises(LoadFailed, match=NOT_RESPONDING) as failed:
            await load
        assert failed.value.can_retry


async def test_a_load_that_answers_pings_has_the_time_of_its_own_limit() -> None:
    async with fake_runner(PATIENT) as runner:
        load = asyncio.create_task(runner.load(load_spec("/models/stall.gguf"), stall_timeout=600))
        await asyncio.sleep(1.3 * PATIENT.stall)
        assert not load.done()
        load.cancel()


async def test_a_runner_that_is_stopped_while_it_quantizes_fails_the_job() -> None:
    command = Quantize(source="/models/stall.gguf", target="/models/small.gguf", file_type=1)
    async with fake_runner() as runner:
        job = asyncio.create_task(runner.quantize(command, lambda _done, _total: None))
        await asyncio.sleep(0)
        os.kill(runner.pid, signal.SIGSTOP)
        with pytest.raises(QuantizeFailed, match=NOT_RESPONDING):
            await job


async def test_a_request_that_is_never_worked_on_ends_the_runner() -> None:
    """It answers pings, so that only the lack of progress tells."""
    async with fake_runner(PATIENT) as runner:
        with pytest.raises(RunnerDied, match=NO_PROGRESS):
            await consume(runner, "deaf")


async def test_a_step_that_computes_for_longer_than_every_limit_is_answered() -> None:
    async with fake_runner(PATIENT) as runner:
        assert await consume(runner, f"compute {1.3 * PATIENT.stall}")


async def test_a_runner_killed_from_outside_allows_a_retry_and_a_crash_does_not() -> None:
    async with fake_runner(NONE) as runner:
        with pytest.raises(RunnerDied) as killed:
            await consume(runner, "die")
    async with fake_runner(NONE) as runner:
        with pytest.raises(RunnerDied) as crashed:
            await consume(runner, "assert")
    assert (killed.value.can_retry, crashed.value.can_retry) == (True, False)


async def test_a_load_whose_runner_was_killed_before_it_read_weights_allows_a_retry() -> None:
    """So does a runner on standby that was killed, and that nobody knows of yet.

    Later, what killed it may be the memory that the model takes.
    """
    async with fake_runner(NONE) as runner:
        load = asyncio.create_task(runner.load(load_spec("/models/stall.gguf"), stall_timeout=600))
        await asyncio.sleep(0)
        os.kill(runner.pid, signal.SIGKILL)
        with pytest.raises(LoadFailed, match="signal 9") as early:
            await load
    async with fake_runner(NONE) as runner:
        with pytest.raises(LoadFailed, match="signal 9") as late:
            await runner.load(
                load_spec("/models/slow.gguf"),
                stall_timeout=600,
                on_progress=lambda _: os.kill(runner.pid, signal.SIGKILL),
            )
    assert (early.value.can_retry, late.value.can_retry) == (True, False)


async def test_a_process_that_holds_the_pipes_of_a_dead_runner_does_not_hold_its_requests() -> None:
    async with fake_runner(NONE) as runner:
        await consume(runner, "fork 600")
        (heir,) = psutil.Process(runner.pid).children()
        request = asyncio.create_task(consume(runner, "forever"))
        await runner.client.stats()
        os.kill(runner.pid, signal.SIGKILL)
        with pytest.raises(RunnerDied, match="signal 9"):
            await asyncio.wait_for(request, 20)
        await asyncio.wait_for(runner.close(), 20)
        heir.kill()


class UnkillableChild(LocalChild):
    """A process that does not end when it is killed, as if a driver blocked it in the kernel."""

    def kill(self) -> None:
        pass


async def test_a_process_that_cannot_be_killed_holds_neither_requests_nor_the_shutdown() -> None:
    children: list[Child] = []

    async def spawn_unkillable(command: Sequence[str], environment: Mapping[str, str]) -> Child:
        child = await spawn(command, environment)
        children.append(child)
        return UnkillableChild(child.process, child.socket, child.output)

    probe = replace(QUICK, kill=0.2)
    runner = await start_fake_runner(probe=probe, spawn=spawn_unkillable)
    try:
        os.kill(runner.pid, signal.SIGSTOP)
        with pytest.raises(RunnerDied, match=NOT_RESPONDING):
            await asyncio.wait_for(consume(runner, "forever"), 20)
        assert (await asyncio.wait_for(runner.died, 20)).can_retry
        await asyncio.wait_for(runner.close(), 20)
    finally:
        children[0].kill()
        await children[0].wait()
