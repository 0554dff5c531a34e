"""The machines of a cluster: the server's own, and others that join and leave."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from runners.host.context_size import choose_context
from runners.host.devices import MachineMemory
from runners.host.machine import Machine
from runners.host.memory_estimate import kv_cell_bytes
from runners.host.model_request import ModelKey, ModelRequest, SchedulerConfig
from runners.host.policy import MachineView, RunnerView
from runners.protocol.messages import Device

RUNNERS_PER_GPU = 3
_MEMORY_SECONDS = 0.5


class Machines:
    """The machines that runners are started on; the first is the server's own and never leaves.

    `on_change` is called when one has joined, left, or is to be drained.
    """

    def __init__(
        self, local: Machine, tasks: asyncio.TaskGroup, on_change: Callable[[], None]
    ) -> None:
        self.local = local
        self._tasks, self._on_change = tasks, on_change
        self._by_name = {local.name: local}
        self._background: dict[str, asyncio.Task[None]] = {}
        self._gpus: dict[str, tuple[Device, ...]] = {}
        self._draining: set[str] = set()
        self._local_memory: tuple[float, MachineMemory] | None = None

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Machine:
        return self._by_name[name]

    @property
    def are_many(self) -> bool:
        """Whether there are others besides the server's own."""
        return len(self._by_name) > 1

    def start(self) -> None:
        """Start the background work of the server's own machine."""
        self._run(self.local)

    def add(self, machine: Machine) -> None:
        """Use a machine from now on, in place of an earlier one with its name."""
        self._stop(machine.name)
        self._by_name[machine.name] = machine
        self._run(machine)
        self._on_change()

    def remove(self, machine: Machine) -> None:
        """Start nothing more on a machine that has left; its runners end by themselves."""
        if self._by_name.get(machine.name) is machine:
            self._stop(machine.name)
            self._draining.discard(machine.name)
            self._gpus.pop(machine.name, None)
            del self._by_name[machine.name]
            self._on_change()

    def drain(self, name: str, *, is_draining: bool) -> bool:
        """Load nothing more on a machine, or load there again.

        Returns False where there is none of that name. The server's own is never drained.
        """
        if name not in self._by_name or name == self.local.name:
            return False
        (self._draining.add if is_draining else self._draining.discard)(name)
        self._on_change()
        return True

    def is_draining(self, name: str) -> bool:
        """Whether the runners of a machine are unloaded as soon as they are idle."""
        return name in self._draining

    def load_ended(self, name: str) -> None:
        """Tell a machine that a load has ended."""
        if name in self._by_name:
            self._by_name[name].load_ended()

    def record_gpus(self, name: str, gpus: tuple[Device, ...]) -> None:
        """Record the GPUs that a load found on a machine."""
        if gpus and name in self._by_name:
            self._gpus[name] = gpus

    def gpus(self, name: str) -> tuple[Device, ...]:
        """Return the GPUs of a machine, as far as they are known."""
        machine = self._by_name.get(name)
        return self._gpus.get(name) or (machine.known_gpus if machine is not None else ())

    def views(
        self, runners: Iterable[RunnerView], keys: Iterable[ModelKey], max_loaded: int
    ) -> tuple[MachineView, ...]:
        """Return the properties that the policy reads, with those of `keys` whose files are there.

        Of one machine alone no memory is told: a load finds out.
        """
        if not self.are_many:
            n_gpus = len(self.gpus(self.local.name))
            limit = max_loaded or RUNNERS_PER_GPU * max(n_gpus, 1)
            return (MachineView(name=self.local.name, max_loaded=limit, has_gpu=n_gpus > 0),)
        taken: dict[str, int] = {}
        for runner in runners:
            taken[runner.machine] = taken.get(runner.machine, 0) + runner.vram
        keys = frozenset(keys)
        return tuple(
            self._view(machine, taken.get(machine.name, 0), keys, max_loaded)
            for machine in self._by_name.values()
            if machine.name not in self._draining
        )

    def _view(
        self, machine: Machine, vram: int, keys: frozenset[ModelKey], max_loaded: int
    ) -> MachineView:
        gpus, memory = self.gpus(machine.name), self._memory(machine)
        largest = max((gpu.total for gpu in gpus), default=0)
        return MachineView(
            name=machine.name,
            max_loaded=max_loaded or RUNNERS_PER_GPU * max(len(gpus), 1),
            has_gpu=bool(gpus),
            memory=memory.total + sum(gpu.total for gpu in gpus),
            free=max(0, memory.available + sum(gpu.total for gpu in gpus) - vram),
            gpu_free=max(0, largest - vram),
            files=frozenset(key for key in keys if machine.has_files(key)),
        )

    def _memory(self, machine: Machine) -> MachineMemory:
        """Return the memory of a machine, that of the server's own as it was a moment ago.

        It is read from several files, and a decision needs it for each request.
        """
        if machine is not self.local:
            return machine.memory()
        now = monotonic()
        if self._local_memory is None or now - self._local_memory[0] > _MEMORY_SECONDS:
            self._local_memory = now, machine.memory()
        return self._local_memory[1]

    def size(self, request: ModelRequest, config: SchedulerConfig) -> int:
        """Return the estimated bytes of a loaded model; 0 where placement needs none."""
        if not self.are_many:
            return 0
        facts = request.facts
        n_ctx = choose_context(request, config, self.gpus(self.local.name)).n_ctx
        cache = n_ctx * sum(kv_cell_bytes(facts, config.cache_type))
        return facts.total_bytes + facts.projector_bytes + cache

    def _run(self, machine: Machine) -> None:
        self._background[machine.name] = self._tasks.create_task(machine.run())

    def _stop(self, name: str) -> None:
        if (task := self._background.pop(name, None)) is not None:
            task.cancel()

    def stop(self) -> None:
        """End all background work."""
        for name in tuple(self._background):
            self._stop(name)
