"""Agents of a cluster in the test's own process, on loopback, with scripted runners."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.cluster.agent import Agent, listen
from server.cluster.machine import ClusterMachine
from server.cluster.protocol import AgentAddress
from tests.support.runners import COMMAND, ROOTS

SECRET = b"secret"


@dataclass
class RunningAgent:
    """An agent whose models are in `models`, at `address`."""

    models: Path
    address: tuple[str, int]
    task: asyncio.Task[None]

    @property
    def blobs(self) -> Path:
        return self.models.parent / "paddock-cluster" / "blobs"

    async def join(
        self, models: Path, name: str = "node", *, server: str = "test", beat_seconds: float = 1.0
    ) -> ClusterMachine:
        """Open a session, for a server with its models in `models`."""
        agent = AgentAddress(*self.address, SECRET, beat_seconds)
        return await ClusterMachine.join(name, agent, server=server, models=models)

    async def stop(self) -> None:
        """End the agent, as if its process had."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=20)


@asynccontextmanager
async def running_agent(
    directory: Path, *, beat_seconds: float = 1.0
) -> AsyncIterator[RunningAgent]:
    """Run an agent until the block ends."""
    listener = listen("127.0.0.1")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, ROOTS)),
    }
    models = directory / "models"
    agent = Agent(
        models,
        directory / "paddock-cluster",
        SECRET,
        command=COMMAND,
        environment=environment,
        beat_seconds=beat_seconds,
    )
    task = asyncio.create_task(agent.serve(listener))
    running = RunningAgent(models, listener.getsockname()[:2], task)
    try:
        yield running
    finally:
        await running.stop()
        listener.close()
