"""The contract of a machine, for the real one and the fake of the tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runners.host.machine import LocalMachine, Machine
from runners.host.standby import Standby
from tests.support.cluster import running_agent
from tests.support.fake_machine import FakeMachine
from tests.support.runners import load_spec, start_fake_runner

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["fake", "local", "cluster"])
async def machine(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path: Path
) -> AsyncIterator[Machine]:
    async with _started(request.param, tmp_path) as started:
        background = asyncio.create_task(started.run())
        yield started
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)


@asynccontextmanager
async def _started(kind: str, directory: Path) -> AsyncIterator[Machine]:
    if kind == "fake":
        yield FakeMachine()
    elif kind == "local":
        yield LocalMachine(Standby(start_fake_runner))
    else:
        async with running_agent(directory) as agent:
            machine = await agent.join(Path("/models"))
            yield machine
            machine.close()


async def test_each_start_returns_a_new_runner(machine: Machine) -> None:
    one, two = await machine.start_runner(), await machine.start_runner()
    assert one is not two
    assert one.client is not two.client
    await one.close()
    await two.close()


async def test_runner_loads_the_model_of_its_spec(machine: Machine) -> None:
    runner = await machine.start_runner()
    ready = await runner.load(load_spec(n_ctx=64, n_cells=256), stall_timeout=20)
    assert (ready.n_ctx, ready.n_cells) == (64, 256)
    assert not runner.died.done()
    machine.load_ended()
    await runner.close()


async def test_closed_runner_is_dead_and_may_be_closed_again(machine: Machine) -> None:
    runner = await machine.start_runner()
    await runner.close()
    assert runner.died.done()
    await runner.close()


async def test_host_has_memory(machine: Machine) -> None:
    memory = machine.memory()
    assert 0 < memory.available <= memory.total
