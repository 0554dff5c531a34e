"""Which models are in memory: leases, the requests that wait for one, eviction and expiry.

`policy` decides, `residency` starts and ends runners. Everything that changes what is loaded goes
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
from runners.host.errors import QueueFull, RunnerError, ShuttingDown
from runners.host.hosts import Host, LocalHost
from runners.host.loading import Crowded
from runners.host.policy import (
    Evict,
    Load,
    Phase,
    Place,
    Reject,
    Reuse,
    State,
    Wanted,
    decide,
    serves,
)
from runners.host.requests import (
    ModelKey,
    ModelRequest,
    RunnerStatus,
    SchedulerConfig,
    keep_alive_seconds,
)
from runners.host.residency import Residency
from runners.host.residents import Resident, Waiter
from runners.host.sizing import choose_context
from runners.host.tokenizers import Tokenizers
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
    """Shares the memory of the host among models; an async context manager.

    Leaving the context closes everything: see `shutdown`.
    """

    def __init__(
        self, config: SchedulerConfig, *, host: Host | None = None, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._host: Host = host or LocalHost()
        self._clock: Clock = clock or LoopClock()
        self._waiting: list[Waiter] = []
        self._alarm: Timer | None = None
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        self._background: asyncio.Task[None] | None = None
        self._residency = Residency(
            config,
            host=self._host,
            clock=self._clock,
            tasks=self._tasks,
            on_ready=self._settle,
            on_gone=self._on_gone,
        )
        self._tokenizers = Tokenizers(
            self._host, self._clock, self._tasks, load_timeout=config.load_timeout
        )

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._background = self._tasks.create_task(self._host.run())
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
        resident = await self._acquire(request)
        try:
            assert resident.runner is not None
            assert resident.ready is not None
            yield Lease(resident.runner.client, resident.ready)
        finally:
            self._release(resident)

    @asynccontextmanager
    async def tokenizer(self, weights: Path) -> AsyncGenerator[RunnerClient, None]:
        """Give a runner that can tokenise for a model file, which need not be loaded for it.

        A loaded model serves as it is, and this is a use of it.

        Raises:
            LoadFailed, LoadTimeout: the vocabulary cannot be loaded.
            ShuttingDown: the server is closing.
        """
        for resident in self._residency:
            if resident.request.weights != weights or resident.phase is not Phase.READY:
                continue
            assert resident.runner is not None
            resident.users += 1
            try:
                yield resident.runner.client
            finally:
                self._release(resident)
            return
        async with self._tokenizers.use(weights) as client:
            yield client

    def status(self) -> tuple[RunnerStatus, ...]:
        """Return the loaded models, the last to expire first; those being loaded are not told."""
        now, today = self._clock.now(), self._clock.today()
        known = [told for each in self._residency if (told := each.status(now, today)) is not None]
        # Whole seconds, so that models of one lifetime keep the order in which they were loaded.
        known.sort(key=lambda status: status.expires_at.replace(microsecond=0), reverse=True)
        return tuple(known)

    def unload(self, key: ModelKey) -> None:
        """Let a model go as soon as it is idle; does nothing when it is not in memory."""
        for resident in self._residency:
            if resident.request.key == key:
                resident.keep_alive = 0.0
                resident.expires_at = self._clock.now()
        self._settle()

    async def shutdown(self) -> None:
        """Refuse new leases, let running ones end within the grace period, then kill the rest."""
        self._closing = True
        for waiter in self._waiting:
            waiter.refuse(ShuttingDown())
        self._settle()
        try:
            async with asyncio.timeout(self._config.grace_period):
                await self._residency.empty.wait()
        except TimeoutError:
            logger.warning("ending requests that outlast the grace period")
        finally:
            # Also when cancelled: an impatient second signal must not leave processes behind.
            for resident in self._residency:
                self._residency.end(resident)
        await self._residency.empty.wait()
        await self._tokenizers.close()

    async def _acquire(self, request: ModelRequest) -> Resident:
        if self._closing:
            raise ShuttingDown
        wanted = self._wanted(request)
        decision = decide(self._state(), wanted, self._clock.now())
        if isinstance(decision, Reuse):
            return self._use(self._residency[decision.runner], request)
        if isinstance(decision, Reject):
            raise QueueFull(self._config.max_queue)
        return await self._wait(Waiter(request, replace(wanted, admitted=True)))

    async def _wait(self, waiter: Waiter) -> Resident:
        self._waiting.append(waiter)
        self._settle()
        try:
            return await waiter.served
        except asyncio.CancelledError:
            if waiter.was_served:
                self._release(waiter.served.result())
            self._settle()
            raise

    def _use(self, resident: Resident, request: ModelRequest) -> Resident:
        resident.users += 1
        resident.last_used = self._clock.now()
        if request.keep_alive is not None:
            resident.keep_alive = keep_alive_seconds(request.keep_alive)
        return resident

    def _release(self, resident: Resident) -> None:
        resident.users -= 1
        resident.touch(self._clock.now())
        if resident.users > 0 or resident not in self._residency:
            return
        if self._waiting or self._closing or resident.phase is Phase.DRAINING:
            self._settle()
        else:
            self._expire()

    def _wanted(self, request: ModelRequest) -> Wanted:
        context = choose_context(request, self._config, self._residency.gpus)
        return Wanted(key=request.key, options=request.options, n_ctx=context.n_ctx)

    def _state(self) -> State:
        n_gpus = len(self._residency.gpus)
        limit = self._config.max_loaded or RUNNERS_PER_GPU * max(n_gpus, 1)
        return State(
            places=(Place(name=self._host.name, max_loaded=limit, has_gpu=n_gpus > 0),),
            runners=tuple(resident.view() for resident in self._residency),
            waiting=tuple(waiter.wanted for waiter in self._waiting),
            max_queue=self._config.max_queue,
        )

    def _settle(self) -> None:
        """Do all that is due now: serve, give up loads nobody wants, load, evict, expire."""
        self._waiting = [waiter for waiter in self._waiting if not waiter.served.done()]
        self._serve()
        self._abandon_loads()
        self._follow_policy()
        self._expire()
        for resident in self._residency:
            if self._closing:
                resident.phase = Phase.DRAINING
            if resident.phase is Phase.DRAINING and resident.is_idle:
                self._residency.end(resident)

    def _serve(self) -> None:
        """Hand runners to those that can have one; before evictions, which could hit them."""
        state = self._state()
        ready = [view for view in state.runners if view.phase is Phase.READY]
        still_waiting = []
        for waiter in self._waiting:
            fit = next((view for view in ready if serves(state, view, waiter.wanted)), None)
            if fit is None:
                still_waiting.append(waiter)
            else:
                waiter.served.set_result(self._use(self._residency[fit.id], waiter.request))
        self._waiting = still_waiting

    def _abandon_loads(self) -> None:
        """Give up loads that nobody waits for any more."""
        state = self._state()
        for view in state.runners:
            wanted = any(serves(state, view, waiting) for waiting in state.waiting)
            if view.phase is Phase.LOADING and not wanted:
                self._residency.end(self._residency[view.id])

    def _follow_policy(self) -> None:
        """Ask the policy for the oldest request of each model; one load serves the others too."""
        oldest: dict[ModelKey, Waiter] = {}
        for waiter in self._waiting:
            oldest.setdefault(waiter.request.key, waiter)
        for waiter in oldest.values():
            match decide(self._state(), waiter.wanted, self._clock.now()):
                case Load(place):
                    self._residency.begin_load(waiter.request, waiter.wanted, place)
                case Evict(runner):
                    self._evict(self._residency[runner], waiter.request)

    def _evict(self, resident: Resident, request: ModelRequest) -> None:
        logger.info("unloading %s to load %s", resident.request.name, request.name)
        resident.phase = Phase.DRAINING
        resident.keep_alive = 0.0
        if resident.is_idle:
            self._residency.end(resident)

    def _expire(self) -> None:
        """End what has lived long enough, and set the alarm for the next."""
        now = self._clock.now()
        idle = [each for each in self._residency if each.phase is Phase.READY and each.is_idle]
        for resident in idle:
            if resident.expires_at <= now:
                self._residency.end(resident)
        due = min((each.expires_at for each in idle if not each.leaving), default=math.inf)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due < math.inf:
            self._alarm = self._clock.call_later(min(due - now, LONGEST_TIMER), self._expire)

    def _on_gone(self, resident: Resident, reason: RunnerError | Crowded | None) -> None:
        """Tell those whom a failed load would have served; what found no room may try again."""
        state, view, place = self._state(), resident.view(), resident.place
        for waiter in self._waiting:
            wanted = waiter.wanted
            if isinstance(reason, RunnerError) and serves(state, view, wanted):
                waiter.refuse(reason)
            elif isinstance(reason, Crowded) and wanted.key == view.key:
                waiter.wanted = replace(wanted, crowded=wanted.crowded | {place})
            elif not isinstance(reason, Crowded):
                waiter.wanted = replace(wanted, crowded=wanted.crowded - {place})
        self._settle()
