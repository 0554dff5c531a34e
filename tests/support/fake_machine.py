"""A fake machine: its runners are objects of the test process, loaded when the test says so."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from runners.host.client import RunnerClient
from runners.host.devices import MachineMemory
from runners.host.errors import LoadFailed, RunnerDied, RunnerError
from runners.host.model_request import ModelKey
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import (
    Device,
    Hello,
    MemoryUse,
    Ready,
)
from runners.protocol.placement import DeviceKind
from tests.support.fake_runner import ready

GIB = 1 << 30


def gpu(free: float, total: float | None = None, index: int = 1) -> Device:
    """Return a GPU with sizes in GiB."""
    return Device(
        index=index,
        name=f"FAKE{index}",
        description="",
        kind=DeviceKind.GPU,
        free=int(free * GIB),
        total=int((free if total is None else total) * GIB),
    )


class FakeClient:
    """Records in `holds` whether background requests are held, oldest first."""

    def __init__(self) -> None:
        self.holds: list[bool] = []

    def hold(self, *, is_held: bool) -> None:
        self.holds.append(is_held)


class FakeRunner:
    """Implements `runners.host.machine.Runner`."""

    def __init__(self, machine: "FakeMachine") -> None:
        self._machine = machine
        self.spec: LoadSpec | None = None
        self.closed = False
        self.saves: list[float] = []
        self.hello = Hello(pid=1, supports_gpu=bool(machine.gpus))
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.died: asyncio.Future[RunnerDied] = asyncio.get_running_loop().create_future()
        client = FakeClient()
        self.holds, self.client = client.holds, cast(RunnerClient, client)

    async def devices(self) -> tuple[Device, ...]:
        return self._machine.free_gpus()

    async def load(
        self,
        spec: LoadSpec,
        *,
        stall_timeout: float,
        on_progress: Callable[[float], None] = lambda _: None,
    ) -> Ready:
        self.spec = spec
        self.report = on_progress
        self._machine.loads.append(self)
        await self._machine.may_load.wait()
        if self._machine.failures and (failure := self._machine.failures.popleft()) is not None:
            raise failure
        on_gpu = spec.placement.n_gpu_layers > 0
        use = self._machine.vram_of_a_model if on_gpu else 0
        memory = (MemoryUse(device="FAKE1", is_gpu=True, weights=use),) if on_gpu else ()
        return ready(spec, memory=memory or None)

    async def save_prefixes(self, seconds: float) -> None:
        self.saves.append(seconds)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True
        self.die("closed")

    def hang(self) -> None:
        """Respond no more, as if the process were stopped."""
        self.lost.set_result(None)

    def die(self, detail: str = "killed") -> None:
        """End as if the process had."""
        if self in self._machine.running:
            self._machine.running.remove(self)
        if not self.lost.done():
            self.lost.set_result(None)
        if not self.died.done():
            self.died.set_result(RunnerDied(detail))


@dataclass
class FakeMachine:
    """Implements `runners.host.machine.Machine`.

    `failures` are raised by the next loads, None letting one pass, and `refusals` by the next
    starts of runners. `loads` records every load,
    `running` the runners that were not closed.
    """

    name: str = "local"
    gpus: tuple[Device, ...] = ()
    available: int = 64 * GIB
    vram_of_a_model: int = 4 * GIB
    failures: deque[LoadFailed | None] = field(default_factory=deque)
    refusals: deque[RunnerError] = field(default_factory=deque)
    loads: list[FakeRunner] = field(default_factory=list)
    running: list[FakeRunner] = field(default_factory=list)
    may_load: asyncio.Event = field(default_factory=asyncio.Event)
    can_start: bool = True
    files: set[ModelKey] = field(default_factory=set)
    known_gpus: tuple[Device, ...] = ()

    def __post_init__(self) -> None:
        self.may_load.set()

    def has_files(self, key: ModelKey) -> bool:
        return key in self.files

    async def start_runner(self) -> FakeRunner:
        if self.refusals:
            raise self.refusals.popleft()
        runner = FakeRunner(self)
        self.running.append(runner)
        return runner

    def memory(self) -> MachineMemory:
        return MachineMemory(64 * GIB, self.available)

    def free_gpus(self) -> tuple[Device, ...]:
        loaded = [r for r in self.running if r.spec and r.spec.placement.n_gpu_layers]
        taken = len(loaded) * self.vram_of_a_model
        return tuple(gpu((g.free - taken) / GIB, g.total / GIB, index=g.index) for g in self.gpus)

    def load_ended(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()

    @property
    def loaded_names(self) -> list[str]:
        """Names of the models that were loaded or tried, in order."""
        return [r.spec.weights.rsplit("/")[-1].removesuffix(".gguf") for r in self.loads if r.spec]
