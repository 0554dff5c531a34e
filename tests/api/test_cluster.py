"""Machines of a cluster: lists, draining, and the requests of a machine that is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.cluster.machine import ClusterMachine
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.cluster import RunningAgent, running_agent
from tests.support.fake_machine import GIB, FakeMachine, gpu

pytestmark = pytest.mark.anyio
STREAMS = 16


@dataclass
class World:
    """A server whose own machine is full, with agents on others."""

    server: Server
    directory: Path
    stack: AsyncExitStack
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    async def join(self, name: str) -> ClusterMachine:
        """Let a machine join."""
        agent = await self.stack.enter_async_context(running_agent(self.directory / name))
        self.agents[name] = agent
        machine = await agent.join(self.server.store, name)
        machines = self.server.app.state.services.scheduler.machines
        machine.lost.add_done_callback(lambda _: machines.remove(machine))
        self.stack.callback(machine.close)
        machines.add(machine)
        return machine

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until the list of running requests is as it should be."""
        for _ in range(1200):
            if condition((await self.server.http.get("/api/queue")).json()["requests"]):
                return
            await asyncio.sleep(0.05)
        raise TimeoutError

    async def place(self) -> str:
        """Return where the model is loaded."""
        [model] = (await self.server.http.get("/api/ps")).json()["models"]
        [replica] = model["replicas"]
        return str(replica["machine"])


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    async with (
        serving(directory, machine=FakeMachine(available=1)) as server,
        AsyncExitStack() as s,
    ):
        await server.create("base", TEXT_MODEL)
        yield World(server, directory, s)


async def test_the_machines_are_listed_with_what_they_have_loaded(tmp_path: Path) -> None:
    async with serving(tmp_path, machine=FakeMachine(available=GIB)) as server:
        await server.create("base", TEXT_MODEL)
        machines = server.app.state.services.scheduler.machines
        machines.add(FakeMachine(name="node", known_gpus=(gpu(24),)))
        await server.post("/api/generate", model="base")

        local, node = (await server.http.get("/api/cluster")).json()["machines"]

        assert local == {
            "name": "local",
            "state": "ready",
            "memory": 64 * GIB,
            "memory_available": GIB,
        }
        assert node["gpus"] == [{"name": "FAKE1", "memory": 24 * GIB}]
        [model] = node["models"]
        [loaded] = (await server.http.get("/api/ps")).json()["models"]
        assert loaded["replicas"] == [
            {
                "machine": "node",
                "devices": ["CPU"],
                "size": loaded["size"],
                "size_vram": 0,
                "requests": 0,
            }
        ]
        assert (model["name"], model["devices"]) == ("base:latest", ["CPU"])


async def test_a_machine_is_drained_and_used_again(tmp_path: Path) -> None:
    async with serving(tmp_path, machine=FakeMachine()) as server:
        machines = server.app.state.services.scheduler.machines
        machines.add(FakeMachine(name="node"))
        for drain, state in ((True, "draining"), (False, "ready")):
            answer = await server.post("/api/cluster/drain", machine="node", drain=drain)
            assert answer.json() == {"machine": "node", "draining": drain}
            _, node = (await server.http.get("/api/cluster")).json()["machines"]
            assert node["state"] == state
        answer = await server.post("/api/cluster/drain", machine="local")
        assert answer.status_code == 404


async def test_streams_of_a_lost_machine_end_with_one_error_each(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.join("node")
        body = {"model": "base", "prompt": "forever", "raw": True}
        requests = [
            asyncio.create_task(w.server.http.post("/api/generate", json=body))
            for _ in range(STREAMS)
        ]
        await w.until(
            lambda running: (
                len(running) == STREAMS and all(r.get("generated_tokens") for r in running)
            )
        )
        await w.agents["node"].stop()
        for answer in await asyncio.wait_for(asyncio.gather(*requests), 60):
            *pieces, last = map(json.loads, answer.text.splitlines())
            assert pieces
            assert not any("error" in piece for piece in pieces)
            assert "the machine node, which computed the answer, was lost" in last["error"]


async def test_the_progress_of_requests_on_a_drained_machine_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.join("node")
        body = {"model": "base", "prompt": "forever", "raw": True}
        request = asyncio.create_task(w.server.http.post("/api/generate", json=body))
        await w.until(lambda running: any(r.get("generated_tokens") for r in running))
        await w.server.post("/api/cluster/drain", machine="node", drain=True)
        [running] = (await w.server.http.get("/api/queue")).json()["requests"]
        assert running["generated_tokens"]
        await w.server.http.delete(f"/api/requests/{running['id']}")
        await asyncio.wait_for(request, 60)


async def test_requests_that_have_sent_nothing_are_placed_on_another_machine(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.join("a")
        await w.server.post("/api/generate", model="base")
        assert await w.place() == "a"
        await w.join("b")
        request = asyncio.create_task(
            w.server.post(
                "/api/generate", model="base", prompt="compute 1 once", raw=True, stream=False
            )
        )
        await w.until(bool)
        await w.agents["a"].stop()
        answer = await asyncio.wait_for(request, 60)
        assert answer.json()["response"] == "compute1once"
        assert await w.place() == "b"
