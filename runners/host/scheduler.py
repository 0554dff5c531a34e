"""Which models are in memory: leases, the requests that wait for one, eviction and expiry.

`policy` decides, `pool` starts and ends runners. Everything that changes what is loaded goes
through `_settle`, which looks at the whole and does what is due.
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
from runners.host.clock import Clock, LoopClock, Timer
from runners.host.context_size import choose_context
from runners.host.errors import QueueFull, RunnerError, ShuttingDown
from runners.host.loaded_runner import LoadedRunner, Waiter
from runners.host.loading import Crowded
from runners.host.machine import LocalMachine, Machine
from runners.host.model_request import (
    ModelKey,
    ModelRequest,
    RunnerStatus,
    SchedulerConfig,
    keep_alive_seconds,
)
from runners.host.policy import (
    Evict,
    Load,
    MachineView,
    Phase,
    Reject,
    Reuse,
    RunnerDemand,
    State,
    decide,
    serves,
)
from runners.host.runner_pool import RunnerPool
from runners.host.tokenizer_runners import TokenizerRunners
from runners.protocol.messages import Ready

logger = logging.getLogger(__name__)

RUNNERS_PER_GPU = 3
# Timers are set no further ahead and then set again: event loops differ in what they can hold.
LONGEST_TIMER = 3600.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use a runner until the lease's context ends."""

    runner: RunnerClient
    ready: Ready


class Scheduler:
    """Shares the memory of the machine among models; an async context manager.

    Leaving the context closes everything: see `shutdown`.
    """

    def __init__(
        self, config: SchedulerConfig, *, machine: Machine | None = None, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._machine: Machine = machine or LocalMachine()
        self._clock: Clock = clock or LoopClock()
        self._waiting: list[Waiter] = []
        self._alarm: Timer | None = None
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        self._background: asyncio.Task[None] | None = None
        self._pool = RunnerPool(
            config,
            machine=self._machine,
            clock=self._clock,
            tasks=self._tasks,
            on_ready=self._settle,
            on_gone=self._on_gone,
        )
        self._tokenizers = TokenizerRunners(
            self._machine, self._clock, self._tasks, load_timeout=config.load_timeout
        )

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._background = self._tasks.create_task(self._machine.run())
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
            if self._background is not None:
                self._background.cancel()
            # An error of the body is not the group's: it would come out wrapped in one.
            await self._tasks.__aexit__(None, None, None)

    @asynccontextmanager
    async def lease(self, request: ModelRequest) -> AsyncGenerator[Lease, None]:
        """Give the use of a runner that has the model, loading it first if need be.

        Raises:
            QueueFull: too many requests wait for loads.
            LoadFailed, LoadTimeout: the model cannot be loaded.
            ShuttingDown: the server is closing.
        """
        runner = await self._acquire(request)
        try:
            assert runner.runner is not None
            assert runner.ready is not None
            yield Lease(runner.runner.client, runner.ready)
        finally:
            self._release(runner)

    @asynccontextmanager
    async def tokenizer(self, weights: Path) -> AsyncGenerator[RunnerClient, None]:
        """Give a runner that can tokenise for a model file, which need not be loaded for it.

        A loaded model serves as it is, and this is a use of it.

        Raises:
            LoadFailed, LoadTimeout: the vocabulary cannot be loaded.
            ShuttingDown: the server is closing.
        """
        for runner in self._pool:
            if runner.request.weights != weights or runner.phase is not Phase.READY:
                continue
            assert runner.runner is not None
            runner.users += 1
            try:
                yield runner.runner.client
            finally:
                self._release(runner)
            return
        async with self._tokenizers.use(weights) as client:
            yield client

    def status(self) -> tuple[RunnerStatus, ...]:
        """Return the loaded models, the last to expire first; those being loaded are not told."""
        now, today = self._clock.now(), self._clock.today()
        # The newest of each name comes last: a replaced one may still be finishing an answer.
        runners = sorted(self._pool, key=lambda runner: not runner.is_retired)
        listed = (each.status(now, today) for each in runners)
        known = list({status.request.name: status for status in listed if status}.values())
        # Whole seconds, so that models of one lifetime keep the order in which they were loaded.
        known.sort(key=lambda status: status.expires_at.replace(microsecond=0), reverse=True)
        return tuple(known)

    def unload(self, key: ModelKey) -> None:
        """Let a model go as soon as it is idle; does nothing when it is not in memory."""
        for runner in self._pool:
            if runner.request.key == key:
                runner.keep_alive = 0.0
                runner.expires_at = self._clock.now()
        self._settle()

    def retire(self, name: str, current: ModelKey | None = None) -> None:
        """Let the runners of a model that was deleted or replaced go as soon as they are idle.

        `current` is what its name means now, None when nothing; a runner of that stays.
        """
        self._retire(name, current)
        self._settle()

    def _retire(self, name: str, current: ModelKey | None) -> None:
        for runner in self._pool:
            if runner.request.name == name and runner.request.key != current:
                runner.retire(self._clock.now())

    async def shutdown(self) -> None:
        """Refuse new leases, let running ones end within the grace period, then kill the rest."""
        self._closing = True
        for waiter in self._waiting:
            waiter.refuse(ShuttingDown())
        self._settle()
        try:
            async with asyncio.timeout(self._config.grace_period):
                await self._pool.empty.wait()
        except TimeoutError:
            logger.warning("ending requests that outlast the grace period")
        finally:
            # Also when cancelled: an impatient second signal must not leave processes behind.
            for runner in self._pool:
                self._pool.end(runner)
        await self._pool.empty.wait()
        await self._tokenizers.close()

    async def _acquire(self, request: ModelRequest) -> LoadedRunner:
        if self._closing:
            raise ShuttingDown
        # Another program may have replaced the model that the name meant before.
        self._retire(request.name, request.key)
        demand = self._demand(request)
        decision = decide(self._state(), demand, self._clock.now())
        if isinstance(decision, Reuse):
            return self._use(self._pool[decision.runner], request)
        if isinstance(decision, Reject):
            raise QueueFull(self._config.max_queue)
        return await self._wait(Waiter(request, replace(demand, admitted=True)))

    async def _wait(self, waiter: Waiter) -> LoadedRunner:
        self._waiting.append(waiter)
        self._settle()
        try:
            return await waiter.served
        except asyncio.CancelledError:
            if waiter.was_served:
                self._release(waiter.served.result())
            self._settle()
            raise

    def _use(self, runner: LoadedRunner, request: ModelRequest) -> LoadedRunner:
        runner.users += 1
        runner.last_used = self._clock.now()
        if not runner.is_same_model(request):
            if runner.is_retired:
                runner.adopt(request, self._config.keep_alive)
            elif runner.request.name == request.name:
                runner.rename(request)
        if request.keep_alive is not None and not runner.is_retired:
            runner.keep_alive = keep_alive_seconds(request.keep_alive)
        return runner

    def _release(self, runner: LoadedRunner) -> None:
        runner.users -= 1
        runner.touch(self._clock.now())
        if runner.users > 0 or runner not in self._pool:
            return
        if self._waiting or self._closing or runner.phase is Phase.DRAINING:
            self._settle()
        else:
            self._expire()

    def _demand(self, request: ModelRequest) -> RunnerDemand:
        context = choose_context(request, self._config, self._pool.gpus)
        return RunnerDemand(key=request.key, options=request.options, n_ctx=context.n_ctx)

    def _state(self) -> State:
        n_gpus = len(self._pool.gpus)
        limit = self._config.max_loaded or RUNNERS_PER_GPU * max(n_gpus, 1)
        return State(
            machines=(MachineView(name=self._machine.name, max_loaded=limit, has_gpu=n_gpus > 0),),
            runners=tuple(runner.view() for runner in self._pool),
            waiting=tuple(waiter.demand for waiter in self._waiting),
            max_queue=self._config.max_queue,
        )

    def _settle(self) -> None:
        """Do all that is due now: serve, give up loads nobody wants, load, evict, expire."""
        self._waiting = [waiter for waiter in self._waiting if not waiter.served.done()]
        self._serve()
        self._abandon_loads()
        self._follow_policy()
        self._expire()
        for runner in self._pool:
            if self._closing:
                runner.phase = Phase.DRAINING
            if runner.phase is Phase.DRAINING and runner.is_idle:
                self._pool.end(runner)

    def _serve(self) -> None:
        """Hand runners to those that can have one; before evictions, which could hit them."""
        state = self._state()
        ready = [view for view in state.runners if view.phase is Phase.READY]
        still_waiting = []
        for waiter in self._waiting:
            fit = next((view for view in ready if serves(state, view, waiter.demand)), None)
            if fit is None:
                still_waiting.append(waiter)
            else:
                waiter.served.set_result(self._use(self._pool[fit.id], waiter.request))
        self._waiting = still_waiting

    def _abandon_loads(self) -> None:
        """Give up loads that nobody waits for any more."""
        state = self._state()
        for view in state.runners:
            demand = any(serves(state, view, waiting) for waiting in state.waiting)
            if view.phase is Phase.LOADING and not demand:
                self._pool.end(self._pool[view.id])

    def _follow_policy(self) -> None:
        """Ask the policy for the oldest request of each model; one load serves the others too."""
        oldest: dict[ModelKey, Waiter] = {}
        for waiter in self._waiting:
            oldest.setdefault(waiter.request.key, waiter)
        for waiter in oldest.values():
            match decide(self._state(), waiter.demand, self._clock.now()):
                case Load(machine):
                    self._pool.begin_load(waiter.request, waiter.demand, machine)
                case Evict(runner):
                    self._evict(self._pool[runner], waiter.request)

    def _evict(self, runner: LoadedRunner, request: ModelRequest) -> None:
        logger.info("unloading %s to load %s", runner.request.name, request.name)
        runner.phase = Phase.DRAINING
        runner.keep_alive = 0.0
        if runner.is_idle:
            self._pool.end(runner)

    def _expire(self) -> None:
        """End what has lived long enough, and set the alarm for the next."""
        now = self._clock.now()
        idle = [each for each in self._pool if each.phase is Phase.READY and each.is_idle]
        for runner in idle:
            if runner.expires_at <= now:
                self._pool.end(runner)
        due = min((each.expires_at for each in idle if not each.leaving), default=math.inf)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due < math.inf:
            self._alarm = self._clock.call_later(min(due - now, LONGEST_TIMER), self._expire)

    def _on_gone(self, runner: LoadedRunner, reason: RunnerError | Crowded | None) -> None:
        """Tell those whom a failed load would have served; what found no room may try again."""
        state, view, machine = self._state(), runner.view(), runner.machine
        for waiter in self._waiting:
            demand = waiter.demand
            if isinstance(reason, RunnerError) and serves(state, view, demand):
                waiter.refuse(reason)
            elif isinstance(reason, Crowded) and demand.key == view.key:
                waiter.demand = replace(demand, crowded=demand.crowded | {machine})
            elif not isinstance(reason, Crowded):
                waiter.demand = replace(demand, crowded=demand.crowded - {machine})
        self._settle()
