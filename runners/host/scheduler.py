"""Schedule models in memory: leases, the queue of pending requests, eviction and expiry.

`policy` decides, `RunnerPool` starts and ends runners. Every change of what is loaded goes
through `_reconcile`, which compares runners with requests and acts on the difference.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from runners.host.client import RunnerClient
from runners.host.clock import Clock, LoopClock
from runners.host.context_size import choose_context, max_context
from runners.host.decisions import Evict, Load, Refuse, Reject, Reuse
from runners.host.errors import NoRoom, RunnerError, ShuttingDown
from runners.host.expiry import Expiry
from runners.host.loaded_runner import LoadedRunner, PendingRequest
from runners.host.loading import EvictionRequired, LoadError
from runners.host.machine import LocalMachine, Machine
from runners.host.machines import Machines
from runners.host.model_request import (
    LoadStatus,
    ModelKey,
    ModelRequest,
    RunnerStatus,
    SchedulerConfig,
    keep_alive_seconds,
)
from runners.host.pending_queue import insert_in_turn, make_place
from runners.host.policy import Phase, RunnerDemand, State, choose_replica, decide, serves
from runners.host.prefix_storage import tidy
from runners.host.runner_pool import RunnerPool
from runners.host.scaling import ReplicaScaling
from runners.host.tokenizer_runners import TokenizerRunners
from runners.host.usage import MachineUsage
from runners.protocol.messages import Ready
from runners.protocol.virtual_file import VirtualFile

logger = logging.getLogger(__name__)

# How long a runner may save what it has computed when a load or the end of the server waits for it.
URGENT_SAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use a runner until the lease's context ends.

    `n_ctx` is the context that the request would have been given by a load of its own; the runner
    may have more, and a load for more of it up to `max_n_ctx`. `queue_seconds` and
    `load_seconds` are the waits for a place in memory and for the load.
    """

    runner: RunnerClient
    ready: Ready
    n_ctx: int
    max_n_ctx: int = 0
    pid: int = 0
    queue_seconds: float = 0.0
    load_seconds: float = 0.0


class Scheduler:
    """Shares the memory of machines among models; an async context manager.

    `machines` are the server's own, on which vocabularies are loaded, and those of a cluster.

    The end of the context shuts it down: see `shutdown`.

    Background requests have what others leave: nothing is evicted for them, they are held while
    others run or wait, and end with ShuttingDown when their runner is evicted for others.
    """

    def __init__(
        self, config: SchedulerConfig, *, machine: Machine | None = None, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._clock: Clock = clock or LoopClock()
        self._pending: list[PendingRequest] = []
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        self.machines = Machines(machine or LocalMachine(), self._tasks, self._reconcile)
        self._pool = RunnerPool(
            config,
            machines=self.machines,
            clock=self._clock,
            tasks=self._tasks,
            on_ready=self._reconcile,
            on_removed=self._on_removed,
        )
        self._expiry = Expiry(self._pool, self._clock)
        self._scaling = ReplicaScaling(self._pool, self.machines, self._clock, self._state)
        self._tokenizers = TokenizerRunners(
            self.machines.local, self._clock, self._tasks, load_timeout=config.load_timeout
        )

    def __repr__(self) -> str:
        return (
            f"<Scheduler {self._pool!r} pending={[p.request.name for p in self._pending]} "
            f"closing={self._closing}>"
        )

    async def __aenter__(self) -> Self:
        if self._config.prefixes is not None:
            await asyncio.to_thread(tidy, self._config.prefixes)
        await self._tasks.__aenter__()
        self.machines.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.shutdown()
        finally:
            self.machines.stop()
            # An error of the body, if passed on, would be raised wrapped in an exception group.
            await self._tasks.__aexit__(None, None, None)

    @asynccontextmanager
    async def lease(self, request: ModelRequest) -> AsyncGenerator[Lease, None]:
        """Lend a runner that has loaded the model; load it first if necessary.

        Raises:
            QueueFull: too many requests wait for a model to be loaded.
            LoadFailed, LoadTimeout: the model cannot be loaded.
            ShuttingDown: the server is shutting down.
        """
        begin = self._clock.now()
        runner = await self._acquire(request)
        try:
            assert runner.process is not None
            assert runner.ready is not None
            load = runner.load_seconds_since(begin)
            queue = max(0.0, self._clock.now() - begin - load)
            pid = runner.process.hello.pid
            # Only now, because the GPUs may have been unknown before the load.
            n_ctx = min(self._context(request, runner.machine), runner.ready.n_ctx)
            most = max_context(request, self._config, runner.ready.n_ctx)
            yield Lease(runner.process.client, runner.ready, n_ctx, most, pid, queue, load)
        finally:
            self._release(runner, is_background=request.is_background)

    @asynccontextmanager
    async def tokenizer(
        self, weights: Path, view: VirtualFile | None = None
    ) -> AsyncGenerator[RunnerClient, None]:
        """Lend a runner that tokenizes for the model file `weights`; see `LoadSpec` for `view`.

        That is the model's own runner if it is loaded, else one with the vocabulary alone.

        Raises:
            LoadFailed, LoadTimeout: the vocabulary cannot be loaded.
            ShuttingDown: the server is shutting down.
        """
        for runner in self._pool:
            if runner.request.weights != weights or runner.phase is not Phase.READY:
                continue
            assert runner.process is not None
            runner.users += 1
            try:
                yield runner.process.client
            finally:
                self._release(runner)
            return
        async with self._tokenizers.use(weights, view) as client:
            yield client

    def status(self) -> tuple[RunnerStatus, ...]:
        """Return the loaded models, the last to expire first; models still loading are left out."""
        return self._pool.status()

    @property
    def can_start_runners(self) -> bool:
        """Whether the latest start of a runner succeeded, or there was none yet."""
        return any(machine.can_start for machine in self.machines)

    async def usage(self) -> MachineUsage:
        """Return the counters, and what each loaded model takes; asks every runner at once."""
        return await self._pool.usage(len(self._pending))

    def reconfigure(self, config: SchedulerConfig) -> None:
        """Use other settings for what is loaded from now on."""
        self._config = self._pool.config = config

    def loads(self) -> tuple[LoadStatus, ...]:
        """Return the models that are being loaded, the first to begin first."""
        return self._pool.loads()

    def unload(self, key: ModelKey | None = None, *, even_pinned: bool = False) -> dict[str, bool]:
        """Unload a model as soon as it is idle, or all of them; pinned ones stay by default.

        Returns the names of those that were in memory, and whether each is still in use.
        """
        in_use = self._pool.expire(key, even_pinned=even_pinned)
        self._reconcile()
        return in_use

    def retire(self, name: str, current: ModelKey | None = None) -> None:
        """Unload the runners of a deleted or replaced model as soon as they are idle.

        `current` is the model that the name stands for now, if any; its runner stays.
        """
        self._retire(name, current)
        self._reconcile()
        if self._config.prefixes is not None and not self._closing:
            self._tasks.create_task(asyncio.to_thread(tidy, self._config.prefixes))

    def _retire(self, name: str, current: ModelKey | None) -> None:
        for runner in self._pool:
            if runner.request.name == name and runner.request.key != current:
                runner.retire(self._clock.now())

    async def shutdown(self) -> None:
        """Refuse new leases, wait up to the grace period for running ones, kill all runners."""
        self._closing = True
        for pending in self._pending:
            pending.fail(ShuttingDown())
        self._reconcile()
        try:
            async with asyncio.timeout(self._config.grace_period):
                await self._pool.empty.wait()
        except TimeoutError:
            logger.warning("the grace period is over: ending the requests that still run")
        finally:
            # Also when cancelled: a second signal must not leave processes behind.
            for runner in self._pool:
                self._pool.unload(runner)
        await self._pool.empty.wait()
        await self._tokenizers.close()

    async def _acquire(self, request: ModelRequest) -> LoadedRunner:
        if self._closing:
            raise ShuttingDown
        # Another program may have replaced the model that the name meant before.
        self._retire(request.name, request.key)
        demand = self._demand(request)
        decision = decide(self._state(demand), demand, self._clock.now())
        if isinstance(decision, Reuse):
            return self._use(self._pool[decision.runner], request)
        if isinstance(decision, Refuse):
            raise NoRoom
        if isinstance(decision, Reject):
            make_place(self._pending, request.owner, self._config.max_queue)
        return await self._queue(PendingRequest(request, replace(demand, admitted=True)))

    async def _queue(self, pending: PendingRequest) -> LoadedRunner:
        insert_in_turn(self._pending, pending)
        self._reconcile()
        try:
            return await pending.runner
        except asyncio.CancelledError:
            if pending.has_runner:
                self._release(pending.runner.result(), is_background=pending.request.is_background)
            self._reconcile()
            raise

    def _use(self, runner: LoadedRunner, request: ModelRequest) -> LoadedRunner:
        runner.count_user(1, is_background=request.is_background)
        runner.last_used = self._clock.now()
        runner.note_request(request, runner.last_used)
        if not runner.is_same_model(request):
            if runner.is_retired:
                runner.adopt(request, self._config.keep_alive)
            elif runner.request.name == request.name:
                runner.rename(request)
        if request.is_pinned and not runner.is_retired:
            runner.keep_alive = math.inf
        elif request.keep_alive is not None and not runner.is_retired:
            runner.keep_alive = keep_alive_seconds(request.keep_alive)
        self._pool.hold_background(self._pending)
        return runner

    def _release(self, runner: LoadedRunner, *, is_background: bool = False) -> None:
        runner.count_user(-1, is_background=is_background)
        runner.touch(self._clock.now())
        runner.note_waiting(runner.last_used)
        self._pool.hold_background(self._pending)
        if runner.users > 0 or runner not in self._pool:
            return
        if self._pending or self._closing or runner.phase is Phase.DRAINING:
            self._reconcile()
        else:
            self._expiry.check()

    def _demand(self, request: ModelRequest) -> RunnerDemand:
        return RunnerDemand(
            key=request.key,
            options=request.options,
            n_ctx=self._context(request, self.machines.local.name),
            size=self.machines.size(request, self._config),
            least_ctx=request.least_context,
            is_background=request.is_background,
            groups=request.groups,
            prefix=request.prefix,
        )

    def _context(self, request: ModelRequest, machine: str) -> int:
        return choose_context(request, self._config, self.machines.gpus(machine)).n_ctx

    def _state(self, *others: RunnerDemand) -> State:
        runners = tuple(runner.view() for runner in self._pool)
        pending = tuple(pending.demand for pending in self._pending)
        keys = (demand.key for demand in (*pending, *others))
        return State(
            machines=self.machines.views(runners, keys, self._config.max_loaded),
            runners=runners,
            pending=pending,
            max_queue=self._config.max_queue,
        )

    def _reconcile(self) -> None:
        """Hand out runners, cancel unused loads, load, evict, expire: all that is due now."""
        self._pending = [pending for pending in self._pending if not pending.runner.done()]
        self._serve_pending()
        self._cancel_unused_loads()
        self._apply_policy()
        self._expiry.check()
        for runner in self._pool:
            if self._closing or self.machines.is_draining(runner.machine):
                runner.phase = Phase.DRAINING
            if runner.phase is Phase.DRAINING and runner.is_idle:
                self._pool.unload(runner, save_seconds=URGENT_SAVE_SECONDS)
        self._scaling.watch()
        self._pool.hold_background(self._pending)

    def _serve_pending(self) -> None:
        """Give runners to the requests they can serve; before evictions, which could hit them."""
        state = self._state()
        ready = [view for view in state.runners if view.phase is Phase.READY]
        unserved = []
        for pending in self._pending:
            able = [each for each in ready if serves(state, each, pending.demand)]
            if able:
                view = choose_replica(able, pending.demand)
                runner = self._use(self._pool[view.id], pending.request)
                ready[ready.index(view)] = runner.view()  # it has a user more for the next
                pending.runner.set_result(runner)
            else:
                unserved.append(pending)
        self._pending = unserved

    def _cancel_unused_loads(self) -> None:
        """Cancel loads that would serve no pending request: their clients left.

        Background requests do not count while others wait.
        """
        state = self._state()
        others = [demand for demand in state.pending if not demand.is_background]
        for view in state.runners:
            in_demand = any(serves(state, view, demand) for demand in others or state.pending)
            runner = self._pool[view.id]
            if view.phase is Phase.LOADING and not (in_demand or runner.is_replica):
                self._pool.unload(runner)

    def _apply_policy(self) -> None:
        """Decide for the oldest request of each model, whose load serves the others too."""
        oldest: dict[ModelKey, PendingRequest] = {}
        for pending in sorted(self._pending, key=lambda pending: pending.request.is_background):
            oldest.setdefault(pending.request.key, pending)
        for pending in oldest.values():
            match decide(self._state(), pending.demand, self._clock.now()):
                case Load(machine):
                    self._pool.begin_load(pending.request, pending.demand, machine)
                case Refuse():
                    pending.fail(NoRoom())
                case Evict(runner):
                    self._evict(self._pool[runner], pending.request)

    def _evict(self, runner: LoadedRunner, request: ModelRequest) -> None:
        is_same = runner.request.name == request.name
        successor = "it with other options" if is_same else request.name
        logger.info("unloading %s to load %s", runner.request.name, successor)
        self._pool.counters.evictions += 1
        runner.phase = Phase.DRAINING
        runner.keep_alive = 0.0
        if runner.is_idle:
            self._pool.unload(runner, save_seconds=URGENT_SAVE_SECONDS)

    def _on_removed(self, runner: LoadedRunner, reason: LoadError | None) -> None:
        """Fail the requests that a failed load would have served; note which machines are full."""
        state, view, machine = self._state(), runner.view(), runner.machine
        for pending in self._pending:
            demand = pending.demand
            if isinstance(reason, RunnerError) and serves(state, view, demand):
                pending.fail(reason)
            elif isinstance(reason, EvictionRequired) and demand.key == view.key:
                pending.demand = replace(demand, full_machines=demand.full_machines | {machine})
            elif not isinstance(reason, EvictionRequired):
                pending.demand = replace(demand, full_machines=demand.full_machines - {machine})
        self._reconcile()
