"""What the scheduler keeps of each runner, and of each request that waits for one."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runners.host.errors import RunnerError
from runners.host.load_plan import Plan
from runners.host.loading import Crowded, Neighbours, ReadyRunner
from runners.host.machine import Runner
from runners.host.model_request import ModelRequest, RunnerStatus, keep_alive_seconds
from runners.host.policy import Phase, RunnerDemand, RunnerView
from runners.protocol.messages import MemoryUse, Ready

# How the reference server writes "for ever": 2^63 - 1 nanoseconds from now.
FOREVER = timedelta(microseconds=(2**63 - 1) // 1000)


@dataclass(slots=True, eq=False, kw_only=True)
class LoadedRunner:
    """A runner that holds a model, is loading one, or is on its way out.

    `users` counts leases. `expires_at` means something while it is 0. `leaving` is set once the
    process is being ended. `is_retired`: the model was deleted or replaced, so that it goes as
    soon as it is idle, whatever `keep_alive` later requests ask for.
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
    expires_at: float = math.inf
    load: "asyncio.Task[ReadyRunner | RunnerError | Crowded] | None" = None
    runner: Runner | None = None
    ready: Ready | None = None
    plan: Plan | None = None
    leaving: bool = False
    is_retired: bool = False

    def become_ready(self, loaded: ReadyRunner, now: float) -> None:
        """Take over a finished load."""
        self.runner, self.ready, self.plan = loaded.runner, loaded.ready, loaded.plan
        self.n_ctx = loaded.plan.context.n_ctx
        self.context_automatic = loaded.plan.context.automatic
        self.phase = Phase.READY
        self.touch(now)

    def touch(self, now: float) -> None:
        """Note a use; the time to live starts again."""
        self.last_used = now
        self.expires_at = now + self.keep_alive

    def retire(self, now: float) -> None:
        """Let it expire as soon as it is idle: nothing is installed any more under its name."""
        self.is_retired, self.keep_alive, self.expires_at = True, 0.0, now

    def is_same_model(self, request: ModelRequest) -> bool:
        """Whether `request` is for the model that it is listed as, and not for a later one."""
        return (request.name, request.digest) == (self.request.name, self.request.digest)

    def adopt(self, request: ModelRequest, keep_alive: float) -> None:
        """Stay for another model that has the same weights, although its own one is gone."""
        self.is_retired, self.keep_alive = False, keep_alive_seconds(keep_alive)
        self.rename(request)

    def rename(self, request: ModelRequest) -> None:
        """List it as the model of `request`, which has the same weights."""
        self.request = replace(
            self.request, name=request.name, digest=request.digest, card=request.card
        )

    @property
    def is_idle(self) -> bool:
        """Whether its process could be ended now without hurting anybody."""
        return self.runner is not None and self.users == 0 and not self.leaving

    @property
    def vram(self) -> int:
        """Measured bytes on GPUs."""
        return _total(use for use in self._memory if use.is_gpu)

    @property
    def _memory(self) -> tuple[MemoryUse, ...]:
        return self.ready.memory if self.ready is not None else ()

    def view(self) -> RunnerView:
        """Return what the policy needs to know."""
        asked = self.request.options
        mapped = self.plan.spec.use_mmap if self.plan is not None else asked.use_mmap
        return RunnerView(
            id=self.id,
            machine=self.machine,
            key=self.request.key,
            phase=self.phase,
            asked=asked,
            n_ctx=self.n_ctx,
            context_automatic=self.context_automatic,
            use_mmap=mapped is not False,
            users=self.users,
            keep_alive=self.keep_alive,
            expires_at=self.expires_at,
            last_used=self.last_used,
        )

    def status(self, now: float, today: datetime) -> RunnerStatus | None:
        """Return what is told of it; None while there is nothing to tell."""
        if self.ready is None or self.leaving:
            return None
        remaining = self.keep_alive if self.users else self.expires_at - now
        size, vram = _total(self._memory), self.vram
        if vram and self.ready.n_gpu_layers >= self.ready.n_layers:
            # As the reference server: buffers that remain on the machine are not held against a
            # model that is wholly on GPUs.
            size = vram
        return RunnerStatus(
            request=self.request,
            ready=self.ready,
            expires_at=today + lifetime(remaining),
            size=size,
            size_vram=vram,
        )


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that was admitted and waits for a runner."""

    request: ModelRequest
    demand: RunnerDemand
    served: "asyncio.Future[LoadedRunner]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def was_served(self) -> bool:
        """Whether it holds a runner."""
        served = self.served
        return served.done() and not served.cancelled() and served.exception() is None

    def refuse(self, error: RunnerError) -> None:
        """End the wait with an error, unless it has ended."""
        if not self.served.done():
            self.served.set_exception(error)


def lifetime(seconds: float) -> timedelta:
    """Return a duration that can be added to any date of this century."""
    return FOREVER if seconds >= FOREVER.total_seconds() else timedelta(seconds=seconds)


def neighbours_of(runner: LoadedRunner, runners: Iterable[LoadedRunner]) -> Neighbours:
    """Return whether other runners share the machine and its GPUs."""
    others = [r for r in runners if r is not runner and r.machine == runner.machine]
    return Neighbours(bool(others), any(other.vram for other in others))


def _total(memory: Iterable[MemoryUse]) -> int:
    return sum(use.weights + use.kv_cache + use.compute for use in memory)
