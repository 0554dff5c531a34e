"""Machines that start runners: their interface, and the machine of the server itself."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from runners.host.client import RunnerClient
from runners.host.devices import MachineMemory, read_machine_memory
from runners.host.errors import RunnerDied
from runners.host.model_request import ModelKey
from runners.host.process import RunnerProcess
from runners.host.standby import Standby
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Device,
    Hello,
    Ready,
)


class Runner(Protocol):
    """A started runner, closed by its owner; see `RunnerProcess` for the methods."""

    @property
    def client(self) -> RunnerClient: ...

    @property
    def hello(self) -> Hello: ...

    @property
    def lost(self) -> "asyncio.Future[None]": ...

    @property
    def died(self) -> "asyncio.Future[RunnerDied]": ...

    async def devices(self) -> tuple[Device, ...]: ...

    async def load(
        self,
        spec: LoadSpec,
        *,
        stall_timeout: float,
        on_progress: Callable[[float], None] = ...,
    ) -> Ready: ...

    async def save_prefixes(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


class Machine(Protocol):
    """A machine that can start runners."""

    @property
    def name(self) -> str: ...

    @property
    def can_start(self) -> bool:
        """Whether the latest start of a runner succeeded, or there was none yet."""

    @property
    def known_gpus(self) -> tuple[Device, ...]:
        """The GPUs with their free memory when nothing was loaded, as far as they are known."""

    def has_files(self, key: ModelKey) -> bool:
        """Whether a load needs no transfer of files, because they lie there for it."""

    async def start_runner(self) -> Runner:
        """Return a runner without a model.

        Raises:
            CannotStart, RunnerDied, LoadTimeout: it cannot be started.
        """

    def memory(self) -> MachineMemory:
        """Return the machine's memory, without that of GPUs."""

    def load_ended(self) -> None:
        """Called when a load has ended: background work no longer slows it down."""

    async def run(self) -> None:
        """Do background work until cancelled."""


class LocalMachine:
    """The machine that the server runs on."""

    name = "local"
    known_gpus: tuple[Device, ...] = ()

    def __init__(self, standby: Standby | None = None) -> None:
        self._standby = standby or Standby()

    @property
    def can_start(self) -> bool:
        """Whether the latest start of a runner succeeded, or there was none yet."""
        return self._standby.can_start

    def has_files(self, key: ModelKey) -> bool:
        """Every model is here, which is no reason to load all of them here."""
        return False

    async def start_runner(self) -> RunnerProcess:
        """Return the standby runner, or a new one."""
        return await self._standby.take()

    def memory(self) -> MachineMemory:
        """Return the memory of this machine or container."""
        return read_machine_memory()

    def load_ended(self) -> None:
        """Start the next standby runner."""
        self._standby.refill()

    async def run(self) -> None:
        """Keep a standby runner ready until cancelled."""
        self._standby.refill()
        await self._standby.run()
