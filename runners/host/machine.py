"""The machines that runners live on; there is one kind so far, the machine of the server itself."""

import asyncio
from typing import Protocol

from runners.host.client import RunnerClient
from runners.host.devices import MachineMemory, read_machine_memory
from runners.host.errors import RunnerDied
from runners.host.process import RunnerProcess
from runners.host.standby import Standby
from runners.protocol.messages import Device, Hello, LoadSpec, Ready


class Runner(Protocol):
    """A started runner; the one who has it closes it. `RunnerProcess` documents the methods."""

    @property
    def client(self) -> RunnerClient: ...

    @property
    def hello(self) -> Hello: ...

    @property
    def died(self) -> "asyncio.Future[RunnerDied]": ...

    async def devices(self) -> tuple[Device, ...]: ...

    async def load(self, spec: LoadSpec, *, stall_timeout: float) -> Ready: ...

    async def close(self) -> None: ...


class Machine(Protocol):
    """A machine that can start runners."""

    @property
    def name(self) -> str: ...

    async def open(self) -> Runner:
        """Return a runner that has no model yet."""

    def memory(self) -> MachineMemory:
        """Return what memory there is for runners, apart from that of GPUs."""

    def load_ended(self) -> None:
        """Take note that no load is under way any more: a good time for work of one's own."""

    async def run(self) -> None:
        """Do background work until cancelled."""


class LocalMachine:
    """The machine that the server runs on."""

    name = "local"

    def __init__(self, standby: Standby | None = None) -> None:
        self._standby = standby or Standby()

    async def open(self) -> RunnerProcess:
        """Return the standby runner, or a fresh one."""
        return await self._standby.take()

    def memory(self) -> MachineMemory:
        """Return the memory of this machine or container."""
        return read_machine_memory()

    def load_ended(self) -> None:
        """Have the standby runner replaced, which would have slowed the load."""
        self._standby.refill()

    async def run(self) -> None:
        """Keep the standby runner."""
        self._standby.refill()
        await self._standby.run()
