"""Many machines under load, simulated with a fake clock: what placement decides, and what it costs.

Models are loaded and evicted, requests wait and are computed, machines fail and come back. Memory
is counted by the simulation itself, not by the policy.
"""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

from runners.host.decisions import Evict, Load, Reuse
from runners.host.model_request import LoadOptions, ModelKey
from runners.host.policy import MachineView, Phase, RunnerDemand, RunnerView, State, decide
from runners.host.replicas import AddReplica, RemoveReplica, scale
from runners.host.runner_index import RunnerIndex

GB = 10**9
KEEP_ALIVE = 300.0
RETRY_SECONDS = 0.05
SLOTS = 8
"""Requests that a runner computes at once."""
LOAD_BYTES_PER_SECOND = 2 * GB
NETWORK_BYTES_PER_SECOND = 1 * GB
MOST_TRIES = 3
CONVERSATIONS = 50
"""Conversations that go on with each model."""
BLOCKS = 8
"""Blocks of the prompts of a conversation, which its replica has computed afterwards."""


@dataclass(frozen=True)
class Workload:
    """What is simulated: so many machines, models with Zipf's popularity, seconds of requests."""

    n_machines: int = 100
    n_models: int = 300
    requests_per_minute: float = 5000.0
    seconds: float = 600.0
    failures_per_minute: float = 1.0
    repair_seconds: float = 120.0
    seed: int = 1


@dataclass(eq=False)
class Request:
    """One request; `begun` once its first token was sent, from when it cannot be placed again.

    `machine` is the one that a `Pinned` placement has chosen.
    """

    demand: RunnerDemand
    came: float
    seconds: float
    tries: int = 1
    begun: bool = False
    machine: str = ""


@dataclass(eq=False)
class Runner:
    """A runner: the requests that it computes, and those that wait for a slot."""

    view: RunnerView
    running: list[Request] = field(default_factory=list)
    queue: deque[Request] = field(default_factory=deque)


@dataclass
class Result:
    """What came out; waits in seconds from the arrival to the first token, loads by machine."""

    waits: list[float] = field(default_factory=list)
    n_requests: int = 0
    n_loads: int = 0
    n_replicas: int = 0
    bytes_copied: int = 0
    n_evictions: int = 0
    n_lost: int = 0
    n_placed_again: int = 0
    n_given_up: int = 0
    n_known_prefix: int = 0
    most_memory: float = 0.0
    n_decisions: int = 0
    decision_seconds: float = 0.0
    requests_of: Counter[str] = field(default_factory=Counter)

    def wait(self, share: float) -> float:
        """Return the wait that `share` of the requests do not exceed."""
        return sorted(self.waits)[min(int(len(self.waits) * share), len(self.waits) - 1)]

    @property
    def imbalance(self) -> float:
        """Requests of the busiest machine, in multiples of the mean."""
        return max(self.requests_of.values()) * len(self.requests_of) / self.requests_of.total()


class Pinned(Protocol):
    """A placement that knows only how busy machines are: it chooses one when a request comes.

    `n_assigned` are the requests of each machine that are not answered yet.
    """

    def __call__(self, state: State, demand: RunnerDemand, n_assigned: Counter[str]) -> str: ...


def least_loaded(state: State, demand: RunnerDemand, n_assigned: Counter[str]) -> str:
    """Return the machine with the fewest requests, whatever is loaded or stored there."""
    return min(_able(state, demand), key=lambda machine: n_assigned[machine.name]).name


class AtRandom:
    """Returns any machine."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def __call__(self, state: State, demand: RunnerDemand, n_assigned: Counter[str]) -> str:
        return self._random.choice(_able(state, demand)).name


def _able(state: State, demand: RunnerDemand) -> list[MachineView]:
    return [m for m in state.machines if m.memory is not None and m.memory >= demand.size]


def _on(state: State, demand: RunnerDemand, name: str) -> object:
    """Use the model on a machine, load it there, or evict what was used least recently."""
    assert isinstance(state.runners, RunnerIndex)
    here = list(state.runners.on_machine(name))
    for runner in here:
        if runner.key == demand.key and runner.phase is Phase.READY:
            return Reuse(runner.id)
    machine = next((each for each in state.machines if each.name == name), None)
    if machine is None:
        return None
    if any(runner.phase is Phase.LOADING for runner in here):
        return None
    if machine.free is not None and machine.free >= demand.size:
        return Load(name)
    idle = [runner for runner in here if not runner.users and runner.phase is Phase.READY]
    victim = min(idle, key=lambda runner: runner.last_used, default=None)
    return Evict(victim.id) if victim else None


class Simulation:
    """Runs a workload; the clock jumps from one event to the next.

    The policy decides, or `pin` does once for each request.
    """

    def __init__(
        self, workload: Workload, pin: Pinned | None = None, *, max_replicas: int = 8
    ) -> None:
        self._load, self._pin, self._max_replicas = workload, pin, max_replicas
        self._random = random.Random(workload.seed)
        self._now, self._n_events, self._last_id = 0.0, 0, 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._index = RunnerIndex()
        self._runners: dict[int, Runner] = {}
        self._pending: dict[str, dict[Request, None]] = {}
        self._changed: set[str] = set()
        self._models = self._make_models()
        self._weights = [1 / (rank + 1) for rank in range(len(self._models))]
        self._machines = self._make_machines()
        self._down: set[str] = set()
        self._is_retry_due = False
        self._n_assigned: Counter[str] = Counter()
        self.result = Result()

    def run(self) -> Result:
        """Simulate all seconds; then let what waits come to an end."""
        self._at(0.0, self._arrive)
        self._at(1.0, self._scale)
        self._at(self._random.expovariate(self._load.failures_per_minute / 60), self._fail)
        while self._events:
            self._now, _, event = heapq.heappop(self._events)
            event()
            if self._now > self._load.seconds * 3:
                break
        return self.result

    def _make_models(self) -> list[tuple[ModelKey, int]]:
        sizes = [int(min(max(self._random.lognormvariate(2.2, 1.0), 0.5), 140) * GB)
                 for _ in range(self._load.n_models)]  # fmt: skip
        return [(ModelKey(Path(f"/{n}.gguf")), size) for n, size in enumerate(sizes)]

    def _make_machines(self) -> dict[str, MachineView]:
        machines = {}
        for number in range(self._load.n_machines):
            memory = self._random.choice((64, 96, 192, 256)) * GB
            has_gpu = self._random.random() < 0.5
            files = frozenset(key for key, _ in self._random.sample(self._models, 30))
            machines[f"m{number}"] = MachineView(
                name=f"m{number}", max_loaded=16, has_gpu=has_gpu, memory=memory, free=memory,
                gpu_free=80 * GB if has_gpu else 0, files=files,
            )  # fmt: skip
        return machines

    def _at(self, delay: float, event: Callable[[], None]) -> None:
        self._n_events += 1
        heapq.heappush(self._events, (self._now + delay, self._n_events, event))

    # Requests.

    def _arrive(self) -> None:
        if self._now > self._load.seconds:
            return
        self._at(self._random.expovariate(self._load.requests_per_minute / 60), self._arrive)
        [number] = self._random.choices(range(len(self._models)), self._weights)
        key, size = self._models[number]
        conversation = (number * CONVERSATIONS + self._random.randrange(CONVERSATIONS)) * BLOCKS
        demand = RunnerDemand(
            key=key, options=LoadOptions(), n_ctx=4096, admitted=True, size=size,
            prefix=tuple(range(conversation, conversation + BLOCKS)),
        )  # fmt: skip
        self.result.n_requests += 1
        request = Request(demand, self._now, self._random.expovariate(1 / 4.0))
        if not self._try(request):
            self._wait(request)

    def _state(self) -> State:
        machines = [each for each in self._machines.values() if each.name not in self._down]
        pending = tuple(request.demand for request in self._pending.get("", ()))
        return State(machines=machines, runners=self._index, pending=pending)

    def _try(self, request: Request) -> bool:
        state = self._state()
        began = perf_counter()
        decision = self._decision(state, request)
        self.result.decision_seconds += perf_counter() - began
        self.result.n_decisions += 1
        match decision:
            case Reuse(runner):
                self._use(self._runners[runner], request)
                return True
            case Load(machine):
                self._begin_load(request.demand, machine)
            case Evict(runner):
                self._evict(self._runners[runner])
        return False

    def _decision(self, state: State, request: Request) -> object:
        if self._pin is None:
            return decide(state, request.demand, self._now)
        if not request.machine:
            request.machine = self._pin(state, request.demand, self._n_assigned)
            self._n_assigned[request.machine] += 1
        return _on(state, request.demand, request.machine)

    def _wait(self, request: Request) -> None:
        self._pending.setdefault(request.machine, {})[request] = None

    def _retry_soon(self, machine: str) -> None:
        """Decide again for the requests that wait for a machine, and for those of no machine."""
        self._changed.add(machine)
        if not self._is_retry_due:
            self._is_retry_due = True
            self._at(RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        """Decide for the oldest request of each model, and serve those that can be."""
        self._is_retry_due = False
        changed, self._changed = {*self._changed, ""}, set()
        for machine in sorted(changed):
            waiting = self._pending.pop(machine, {})
            self._pending[machine] = waiting
            tried: set[ModelKey] = set()
            for request in list(waiting):
                key = request.demand.key
                is_ready = any(
                    runner.phase is Phase.READY and machine in ("", runner.machine)
                    for runner in self._index.of_model(key)
                )
                if key in tried and not is_ready:
                    continue
                tried.add(key)
                is_served = self._try(request)
                if is_served or request.machine != machine:
                    del waiting[request]
                if not is_served and request.machine != machine:
                    self._wait(request)

    def _use(self, runner: Runner, request: Request) -> None:
        prefix = request.demand.prefix
        self.result.n_known_prefix += prefix[0] in runner.view.prefixes
        self.result.requests_of[runner.view.machine] += 1
        if len(runner.running) < SLOTS:
            self._begin(runner, request)
        else:
            runner.queue.append(request)
        self._update(runner, prefixes=runner.view.prefixes | set(prefix))

    def _begin(self, runner: Runner, request: Request) -> None:
        request.begun = True
        runner.running.append(request)
        self.result.waits.append(self._now - request.came)
        self._at(request.seconds, lambda: self._finish(runner, request))

    def _finish(self, runner: Runner, request: Request) -> None:
        if request not in runner.running:
            return  # its machine has failed
        runner.running.remove(request)
        self._n_assigned[runner.view.machine] -= 1
        if runner.queue:
            self._begin(runner, runner.queue.popleft())
        self._update(runner)
        if runner.view.phase is Phase.DRAINING and not runner.view.users:
            self._remove(runner)
        self._retry_soon(runner.view.machine)

    def _update(self, runner: Runner, **changes: object) -> None:
        n_waiting = len(runner.queue)
        since = min(runner.view.waiting_since, self._now) if n_waiting else math.inf
        runner.view = replace(
            runner.view, users=len(runner.running) + n_waiting, n_waiting=n_waiting,
            waiting_since=since, last_used=self._now, expires_at=self._now + KEEP_ALIVE,
            **changes,  # type: ignore[arg-type]
        )  # fmt: skip
        self._index.put(runner.view)

    # Runners.

    def _begin_load(self, demand: RunnerDemand, machine: str) -> None:
        self._last_id += 1
        view = RunnerView(
            id=self._last_id, machine=machine, key=demand.key, phase=Phase.LOADING,
            options=demand.options, n_ctx=4096, context_automatic=True, use_mmap=True, users=0,
            keep_alive=KEEP_ALIVE, expires_at=math.inf, last_used=self._now, size=demand.size,
        )  # fmt: skip
        runner = self._runners[view.id] = Runner(view)
        self._index.put(view)
        self._count_memory(machine)
        seconds = demand.size / LOAD_BYTES_PER_SECOND
        files = self._machines[machine].files
        if demand.key not in files:
            self.result.bytes_copied += demand.size
            seconds += demand.size / NETWORK_BYTES_PER_SECOND
            self._machines[machine] = replace(self._machines[machine], files=files | {demand.key})
        self.result.n_loads += 1
        self._at(seconds, lambda: self._loaded(runner))

    def _loaded(self, runner: Runner) -> None:
        if runner.view.id in self._runners:
            self._update(runner, phase=Phase.READY)
            self._retry_soon(runner.view.machine)

    def _evict(self, runner: Runner) -> None:
        self.result.n_evictions += 1
        if runner.view.users:
            self._update(runner, phase=Phase.DRAINING)
        else:
            self._remove(runner)
            self._retry_soon(runner.view.machine)

    def _remove(self, runner: Runner) -> None:
        del self._runners[runner.view.id]
        self._index.remove(runner.view.id)
        self._count_memory(runner.view.machine)

    def _count_memory(self, name: str) -> None:
        machine = self._machines[name]
        assert machine.memory is not None
        used = sum(runner.size for runner in self._index.on_machine(name))
        self.result.most_memory = max(self.result.most_memory, used / machine.memory)
        on_gpu = 80 * GB - used if machine.has_gpu else 0
        free = machine.memory - used
        self._machines[name] = replace(machine, free=free, gpu_free=max(0, on_gpu))

    def _scale(self) -> None:
        """Change replicas, and unload what has expired."""
        if self._now < self._load.seconds:
            self._at(1.0, self._scale)
        if self._pin is None:
            for change in scale(self._state(), self._now, max_replicas=self._max_replicas):
                match change:
                    case AddReplica(demand, machine):
                        self.result.n_replicas += 1
                        self._begin_load(demand, machine)
                    case RemoveReplica(runner):
                        self._remove(self._runners[runner])
        for runner in list(self._runners.values()):
            if not runner.view.users and runner.view.expires_at <= self._now:
                self._remove(runner)
                self._retry_soon(runner.view.machine)
        self._retry_soon("")

    # Failures.

    def _fail(self) -> None:
        """End a machine: streams that have begun are lost, other requests are placed again."""
        if self._now > self._load.seconds:
            return
        self._at(self._random.expovariate(self._load.failures_per_minute / 60), self._fail)
        name = self._random.choice(sorted(set(self._machines) - self._down))
        self._down.add(name)
        for view in list(self._index.on_machine(name)):
            runner = self._runners[view.id]
            self.result.n_lost += len(runner.running)
            again = list(runner.queue)
            runner.running.clear()
            runner.queue.clear()
            self._remove(runner)
            self._n_assigned[name] = 0
            for request in again:
                self._place_again(request)
        for request in self._pending.pop(name, {}):
            request.machine = ""
            self._wait(request)
        self._at(self._load.repair_seconds, lambda: self._down.discard(name))
        self._retry_soon("")

    def _place_again(self, request: Request) -> None:
        request.tries, request.machine = request.tries + 1, ""
        if request.tries > MOST_TRIES:
            self.result.n_given_up += 1
            return
        self.result.n_placed_again += 1
        self._wait(request)
        self._retry_soon("")
