"""Agents: who may use them, what ends with a session, and how files get there."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from runners.host.errors import LoadFailed, RunnerDied
from runners.host.machine import Runner
from runners.host.model_request import ModelKey
from runners.protocol.adapters import Adapter
from runners.protocol.messages import Chunk, Generate
from server.cluster.machine import ClusterMachine
from server.cluster.protocol import AgentAddress, ClusterProtocolError
from tests.support.cluster import RunningAgent, running_agent
from tests.support.runners import load_spec

pytestmark = pytest.mark.anyio
CONTENT = bytes(range(256)) * 20_000


@pytest.fixture
async def agent(anyio_backend: str, tmp_path: Path) -> AsyncIterator[RunningAgent]:
    async with running_agent(tmp_path / "node") as running:
        yield running


@pytest.fixture
async def machine(agent: RunningAgent, store: Path) -> AsyncIterator[ClusterMachine]:
    joined = await agent.join(store)
    yield joined
    joined.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The server's own models directory."""
    (tmp_path / "head" / "blobs").mkdir(parents=True)
    return tmp_path / "head"


def put(store: Path, content: bytes = CONTENT) -> Path:
    """Put a blob into a store."""
    path = store / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def text_of(runner: Runner, prompt: str, **fields: object) -> str:
    events = runner.client.generate(Generate(id=0, prompt=prompt, **fields))  # type: ignore[arg-type]
    return "".join([event.text async for event in events if isinstance(event, Chunk)])


async def started(machine: ClusterMachine, weights: Path) -> Runner:
    runner = await machine.start_runner()
    await runner.load(load_spec(weights), stall_timeout=20)
    return runner


async def ended(pid: int) -> bool:
    for _ in range(400):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_server_without_the_secret_is_not_served(agent: RunningAgent, store: Path) -> None:
    wrong = AgentAddress(*agent.address, b"another secret")
    with pytest.raises(ClusterProtocolError):
        await ClusterMachine.join("node", wrong, server="stranger", models=store)


async def test_one_server_at_a_time_has_a_session(agent: RunningAgent, store: Path) -> None:
    first = await agent.join(store, server="first")
    with pytest.raises(ClusterProtocolError, match=r"serves another server \(first\)"):
        await agent.join(store, server="second")
    first.close()
    async with asyncio.timeout(20):
        while True:
            try:
                second = await agent.join(store, server="second")
            except ClusterProtocolError:
                await asyncio.sleep(0.05)
            else:
                break
    second.close()


async def test_a_runner_there_answers_as_one_here(machine: ClusterMachine, store: Path) -> None:
    runner = await started(machine, put(store))
    assert await text_of(runner, "one two three") == "one two three "
    await runner.close()


async def test_a_file_is_sent_once_however_many_wait_for_it(
    agent: RunningAgent, machine: ClusterMachine, store: Path
) -> None:
    weights = put(store)
    assert not machine.has_files(ModelKey(weights))
    runners = await asyncio.gather(started(machine, weights), started(machine, weights))
    assert [path.name for path in agent.blobs.iterdir()] == [weights.name]
    assert (agent.blobs / weights.name).read_bytes() == CONTENT
    assert machine.has_files(ModelKey(weights))
    for runner in runners:
        await runner.close()


async def test_what_arrived_before_is_not_sent_again_unless_it_is_damaged(
    agent: RunningAgent, machine: ClusterMachine, store: Path
) -> None:
    for content, partial in ((CONTENT, CONTENT[:-10]), (CONTENT * 2, b"damaged")):
        weights = put(store, content)
        (agent.blobs / f"{weights.name}.partial").write_bytes(partial)
        runner = await started(machine, weights)
        assert (agent.blobs / weights.name).read_bytes() == content
        await runner.close()
    assert not list(agent.blobs.glob("*.partial"))


async def test_a_file_of_the_machines_own_store_is_linked(
    agent: RunningAgent, machine: ClusterMachine, store: Path
) -> None:
    weights, own = put(store), put(agent.models)
    runner = await started(machine, weights)
    assert (agent.blobs / weights.name).samefile(own)
    await runner.close()


async def test_adapters_of_a_request_are_there_under_their_names(
    agent: RunningAgent, machine: ClusterMachine, store: Path
) -> None:
    runner, adapter = await started(machine, put(store)), put(store, b"adapter")
    adapters = (Adapter(str(adapter), 0.5),)
    assert await text_of(runner, "adapters", adapters=adapters) == f"{adapter.name}*0.5 "
    assert (agent.blobs / adapter.name).read_bytes() == b"adapter"
    await runner.close()


async def test_a_model_outside_of_the_store_is_refused(
    machine: ClusterMachine, tmp_path: Path
) -> None:
    runner = await machine.start_runner()
    with pytest.raises(LoadFailed, match="outside of the models directory"):
        await runner.load(load_spec(tmp_path / "model.gguf"), stall_timeout=20)
    await runner.close()


async def test_the_death_of_a_runner_is_reported_with_its_cause(
    machine: ClusterMachine, store: Path
) -> None:
    runner = await started(machine, put(store))
    request = asyncio.create_task(text_of(runner, "forever"))
    await runner.client.stats()
    os.kill(runner.hello.pid, signal.SIGKILL)
    with pytest.raises(RunnerDied, match="signal 9") as died:
        await asyncio.wait_for(request, 20)
    assert died.value.can_retry
    assert not died.value.is_machine_lost
    await runner.close()


async def test_a_lost_machine_ends_its_requests_and_its_runners(
    agent: RunningAgent, machine: ClusterMachine, store: Path
) -> None:
    runner = await started(machine, put(store))
    requests = [asyncio.create_task(text_of(runner, "forever")) for _ in range(4)]
    await runner.client.stats()
    await agent.stop()
    for request in requests:
        with pytest.raises(RunnerDied, match=r"the machine node.* was lost") as died:
            await asyncio.wait_for(request, 20)
        assert died.value.is_machine_lost
    await asyncio.wait_for(machine.lost, 20)
    assert await ended(runner.hello.pid)
    with pytest.raises(RunnerDied):
        await machine.start_runner()
    await runner.close()


async def test_runners_end_with_the_session_of_a_server_that_is_gone(
    agent: RunningAgent, store: Path
) -> None:
    machine = await agent.join(store)
    runner = await started(machine, put(store))
    machine.close()
    assert await ended(runner.hello.pid)
    await runner.close()


async def test_an_agent_that_is_silent_is_lost(store: Path, tmp_path: Path) -> None:
    async with running_agent(tmp_path / "silent", beat_seconds=3600) as agent:
        machine = await agent.join(store, beat_seconds=0.01)
        await asyncio.wait_for(machine.lost, 20)


async def test_a_server_that_is_silent_loses_its_session(store: Path, tmp_path: Path) -> None:
    async with running_agent(tmp_path / "quick", beat_seconds=0.01) as agent:
        machine = await agent.join(store, beat_seconds=3600)
        await asyncio.wait_for(machine.lost, 20)
