"""The scheduler's record of one runner and of one pending request."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runners.host.errors import RunnerError
from runners.host.load_plan import LoadPlan
from runners.host.loading import LoadOutcome, OtherRunners, ReadyRunner
from runners.host.machine import Runner
from runners.host.model_request import (
    LoadStatus,
    ModelRequest,
    RunnerStatus,
    keep_alive_seconds,
)
from runners.host.policy import Phase, RunnerDemand, RunnerView
from runners.host.usage import RunnerUsage
from runners.protocol.messages import MemoryUse, Ready

_STATS_TIMEOUT = 1.0
_MOST_PREFIXES = 4096
"""Blocks of prompts that are remembered of a runner; then it begins anew."""
# How the reference server writes "for ever": 2^63 - 1 nanoseconds from now.
FOREVER = timedelta(microseconds=(2**63 - 1) // 1000)


@dataclass(slots=True, eq=False, kw_only=True)
class LoadedRunner:
    """A runner that has loaded a model, is loading one, or is being unloaded.

    `users` counts leases; `expires_at` is meaningful while it is 0. `background_users` counts those
    of background requests, which may be failed; `is_held`: it does not compute them now.
    `attempted_ctx` is the context that its load tried first.
    `unloading` is set once the process is being killed. `is_retired`: the model was deleted or
    replaced, so the runner is unloaded as soon as it is idle, whatever `keep_alive` later requests
    have.
    """

    id: int
    machine: str
    request: ModelRequest
    n_ctx: int
    context_automatic: bool
    keep_alive: float
    last_used: float
    phase: Phase = Phase.LOADING
    users: int = 0
    background_users: int = 0
    is_held: bool = False
    attempted_ctx: int = 0
    size: int = 0
    is_replica: bool = False
    waiting_since: float = math.inf
    prefixes: frozenset[int] = frozenset()
    expires_at: float = math.inf
    load: "asyncio.Task[LoadOutcome] | None" = None
    process: Runner | None = None
    ready: Ready | None = None
    plan: LoadPlan | None = None
    unloading: bool = False
    is_retired: bool = False
    progress: float = 0.0
    load_began: float = math.inf
    loaded_at: float = math.inf

    def __str__(self) -> str:
        state = "UNLOADING" if self.unloading else self.phase.name
        return f"{self.id}: {self.request.name} {state} n_ctx={self.n_ctx} users={self.users}"

    def load_seconds_since(self, moment: float) -> float:
        """Return how much of the load took place after `moment`."""
        return max(0.0, self.loaded_at - max(self.load_began, moment))

    def record_progress(self, share: float) -> None:
        """Record which share of the weights is loaded."""
        self.progress = share

    def mark_ready(self, loaded: ReadyRunner, now: float) -> None:
        """Record a load that succeeded."""
        self.loaded_at = now
        self.process, self.ready, self.plan = loaded.runner, loaded.ready, loaded.plan
        self.n_ctx = loaded.plan.context.n_ctx
        self.context_automatic = loaded.plan.context.automatic
        self.phase = Phase.READY
        self.touch(now)

    def count_user(self, change: int, *, is_background: bool) -> None:
        """Count a lease that begins (1) or ends (-1)."""
        if is_background:
            self.background_users += change
        else:
            self.users += change

    def note_request(self, request: ModelRequest, now: float) -> None:
        """Note with what the prompt of a request begins, and whether requests wait for a slot."""
        if request.prefix and not self.prefixes.issuperset(request.prefix):
            kept = self.prefixes if len(self.prefixes) < _MOST_PREFIXES else frozenset()
            self.prefixes = kept.union(request.prefix)
        self.note_waiting(now)

    def note_waiting(self, now: float) -> None:
        """Note since when requests wait for a slot."""
        if not self.n_waiting:
            self.waiting_since = math.inf
        elif self.waiting_since == math.inf:
            self.waiting_since = now

    @property
    def n_waiting(self) -> int:
        """How many of its users wait for a slot, if each has one sequence."""
        return max(0, self.users - self.ready.n_seq) if self.ready is not None else 0

    def touch(self, now: float) -> None:
        """Record a use and restart the keep-alive time."""
        self.last_used = now
        self.expires_at = now + self.keep_alive

    def retire(self, now: float) -> None:
        """Unload it as soon as it is idle: its model was deleted or replaced."""
        self.is_retired, self.keep_alive, self.expires_at = True, 0.0, now

    def is_same_model(self, request: ModelRequest) -> bool:
        """Whether `request` is for the model that it is listed as, not for one that replaced it."""
        return (request.name, request.digest) == (self.request.name, self.request.digest)

    def adopt(self, request: ModelRequest, keep_alive: float) -> None:
        """Keep a retired runner for another installed model that has the same weights."""
        self.is_retired, self.keep_alive = False, keep_alive_seconds(keep_alive)
        self.rename(request)

    def rename(self, request: ModelRequest) -> None:
        """List it as the model of `request`, which has the same weights."""
        self.request = replace(
            self.request, name=request.name, digest=request.digest, model=request.model
        )

    @property
    def is_idle(self) -> bool:
        """Whether its process can be killed without failing a request that is no background one."""
        return self.process is not None and self.users == 0 and not self.unloading

    @property
    def is_computing(self) -> bool:
        """Whether it is loaded and answers; also one that is draining does."""
        return self.phase is not Phase.LOADING and self.ready is not None and not self.unloading

    @property
    def may_expire(self) -> bool:
        """Whether it is unloaded when its keep-alive time is over: nothing uses it."""
        return self.phase is Phase.READY and self.is_idle and not self.background_users

    @property
    def vram(self) -> int:
        """Measured bytes on GPUs."""
        return _total(use for use in self._memory if use.is_gpu)

    @property
    def _memory(self) -> tuple[MemoryUse, ...]:
        return self.ready.memory if self.ready is not None else ()

    def view(self) -> RunnerView:
        """Return the properties that the policy reads."""
        options = self.request.options
        use_mmap = self.plan.spec.use_mmap if self.plan is not None else options.use_mmap
        return RunnerView(
            id=self.id,
            machine=self.machine,
            key=self.request.key,
            phase=self.phase,
            options=options,
            n_ctx=self.n_ctx,
            context_automatic=self.context_automatic,
            use_mmap=use_mmap is not False,
            users=self.users,
            keep_alive=self.keep_alive,
            expires_at=self.expires_at,
            last_used=self.last_used,
            background_users=self.background_users,
            attempted_ctx=self.attempted_ctx,
            size=self.size,
            vram=self.vram,
            n_waiting=self.n_waiting,
            waiting_since=self.waiting_since,
            prefixes=self.prefixes,
            is_pinned=self.request.is_pinned and not self.is_retired,
            groups=self.request.groups,
        )

    def status(self, now: float, today: datetime) -> RunnerStatus | None:
        """Return what /api/ps lists of it; None while it is loading or unloading."""
        if self.ready is None or self.unloading:
            return None
        is_busy = self.users or self.background_users
        remaining = self.keep_alive if is_busy else self.expires_at - now
        size, vram = _total(self._memory), self.vram
        if vram and self.ready.n_gpu_layers >= self.ready.n_layers:
            # As in the reference server, host buffers are not counted for a model whose layers are
            # all on GPUs.
            size = vram
        return RunnerStatus(
            request=self.request,
            ready=self.ready,
            expires_at=today + lifetime(remaining),
            size=size,
            size_vram=vram,
            machine=self.machine,
            devices=tuple(dict.fromkeys(use.device for use in self._memory)),
            users=self.users + self.background_users,
        )

    def load_status(self, now: float) -> LoadStatus | None:
        """Return how far its load is; None when it is not loading."""
        if self.phase is not Phase.LOADING:
            return None
        return LoadStatus(self.request, self.progress, now - self.load_began)

    async def usage(self) -> RunnerUsage:
        """Return its memory and its counters; of a runner that is loaded."""
        assert self.process is not None
        assert self.ready is not None
        client, stats = self.process.client, None
        owners = dict(client.owners)
        with suppress(RunnerError, TimeoutError):
            async with asyncio.timeout(_STATS_TIMEOUT):
                stats = await client.stats()
        vram = self.vram
        return RunnerUsage(
            model=self.request.name,
            n_cells=self.ready.n_cells,
            ram_bytes=_total(self._memory) - vram,
            vram_bytes=vram,
            stats=stats,
            owners=owners,
        )


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request in the queue, waiting for a runner."""

    request: ModelRequest
    demand: RunnerDemand
    runner: "asyncio.Future[LoadedRunner]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def has_runner(self) -> bool:
        """Whether it was given a runner."""
        runner = self.runner
        return runner.done() and not runner.cancelled() and runner.exception() is None

    def fail(self, error: RunnerError) -> None:
        """End the wait with an error, unless it has ended."""
        if not self.runner.done():
            self.runner.set_exception(error)


def lifetime(seconds: float) -> timedelta:
    """Return a duration that can be added to any date of this century without overflow."""
    return FOREVER if seconds >= FOREVER.total_seconds() else timedelta(seconds=seconds)


def other_runners_of(runner: LoadedRunner, runners: Iterable[LoadedRunner]) -> OtherRunners:
    """Return whether runners other than `runner` use its machine and the GPUs of it."""
    others = [r for r in runners if r is not runner and r.machine == runner.machine]
    return OtherRunners(bool(others), any(other.vram for other in others))


def _total(memory: Iterable[MemoryUse]) -> int:
    return sum(use.weights + use.kv_cache + use.compute for use in memory)
