"""Load models into runner processes, unload them, and remove runners that exited.

Decides nothing: the scheduler says what is loaded and unloaded, and keeps the pending requests.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from runners.host.clock import Clock
from runners.host.errors import LoadFailed, RunnerError
from runners.host.loaded_runner import LoadedRunner, PendingRequest, other_runners_of
from runners.host.loading import EvictionRequired, LoadError, LoadOutcome, ReadyRunner, load_model
from runners.host.machines import Machines
from runners.host.model_request import (
    LoadStatus,
    ModelKey,
    ModelRequest,
    RunnerStatus,
    SchedulerConfig,
    keep_alive_seconds,
)
from runners.host.policy import Phase, RunnerDemand
from runners.host.usage import MachineUsage, SchedulerCounters

logger = logging.getLogger(__name__)


class RunnerPool:
    """Owns every runner from the start of its load until its process is reaped.

    `config` holds for the next loads. `on_ready` is called when a load has succeeded; `on_removed`
    after a runner was removed, with the error when its load failed.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        *,
        machines: Machines,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        on_ready: Callable[[], None],
        on_removed: Callable[[LoadedRunner, LoadError | None], None],
    ) -> None:
        self.config = config
        self._machines = machines
        self._clock = clock
        self._tasks = tasks
        self._on_ready = on_ready
        self._on_removed = on_removed
        self._runners: dict[int, LoadedRunner] = {}
        self._last_id = 0
        self.counters = SchedulerCounters()
        self.empty = asyncio.Event()
        self.empty.set()

    def __repr__(self) -> str:
        return f"<RunnerPool {[str(runner) for runner in self]}>"

    def __iter__(self) -> Iterator[LoadedRunner]:
        """Iterate over a copy of the runners, the oldest first."""
        return iter(tuple(self._runners.values()))

    def __getitem__(self, runner_id: int) -> LoadedRunner:
        return self._runners[runner_id]

    def __contains__(self, runner: LoadedRunner) -> bool:
        return runner.id in self._runners

    def begin_load(
        self, request: ModelRequest, demand: RunnerDemand, machine: str, *, is_replica: bool = False
    ) -> None:
        """Start loading a model; one that is a replica is loaded whether requests wait or not."""
        config = self.config
        keep_alive = config.keep_alive if request.keep_alive is None else request.keep_alive
        if request.is_pinned:
            keep_alive = math.inf
        self._last_id += 1
        runner = LoadedRunner(
            id=self._last_id,
            machine=machine,
            request=request,
            n_ctx=demand.n_ctx,
            attempted_ctx=demand.n_ctx,
            size=demand.size,
            is_replica=is_replica,
            context_automatic=request.options.num_ctx is None and config.context_length == 0,
            keep_alive=keep_alive_seconds(keep_alive),
            last_used=self._clock.now(),
            load_began=self._clock.now(),
        )
        self._runners[runner.id] = runner
        self.empty.clear()
        runner.load = self._tasks.create_task(self._load(runner))
        # A task that is cancelled before its first step runs no `finally` of its own.
        runner.load.add_done_callback(partial(self._load_ended, runner))

    def hold_background(self, pending: Iterable[PendingRequest]) -> None:
        """Let runners hold their background requests while others wait or run beside them."""
        with_background = [runner for runner in self if runner.background_users]
        if not with_background:
            return
        waits = any(not each.request.is_background for each in pending)
        busy = {runner.machine for runner in self if runner.users}
        for runner in with_background:
            is_held = waits or runner.machine in busy
            if runner.is_held != is_held and runner.process is not None:
                runner.is_held = is_held
                runner.process.client.hold(is_held=is_held)

    def status(self) -> tuple[RunnerStatus, ...]:
        """Return the loaded models, the last to expire first; models still loading are left out."""
        now, today = self._clock.now(), self._clock.today()
        # The newest runner of each name: a replaced one may still be finishing an answer.
        runners = sorted(self, key=lambda runner: not runner.is_retired)
        listed = [status for each in runners if (status := each.status(now, today))]
        statuses = list({status.request.name: status for status in listed}.values())
        if self._machines.are_many:
            statuses = [_with_replicas(status, listed) for status in statuses]
        # Whole seconds, so that models with equal keep-alive stay in the order of their loads.
        statuses.sort(key=lambda status: status.expires_at.replace(microsecond=0), reverse=True)
        return tuple(statuses)

    def loads(self) -> tuple[LoadStatus, ...]:
        """Return the models that are being loaded, the first to begin first."""
        now = self._clock.now()
        return tuple(status for runner in self if (status := runner.load_status(now)))

    async def usage(self, n_pending: int) -> MachineUsage:
        """Return the counters, and what each loaded model takes; asks every runner at once."""
        runners = [runner for runner in self if runner.is_computing]
        return MachineUsage(
            n_pending=n_pending,
            counters=replace(self.counters),
            runners=tuple(await asyncio.gather(*(runner.usage() for runner in runners))),
        )

    def expire(self, key: ModelKey | None, *, even_pinned: bool) -> dict[str, bool]:
        """Let a model, or all of them, expire when idle; return whether each is still in use."""
        in_use: dict[str, bool] = {}
        for runner in self:
            stays = runner.request.is_pinned and not even_pinned
            if key in (None, runner.request.key) and not (runner.unloading or stays):
                runner.keep_alive = 0.0
                runner.expires_at = self._clock.now()
                in_use[runner.request.name] = not runner.may_expire
        return in_use

    def unload(self, runner: LoadedRunner, *, save_seconds: float = 0.0) -> None:
        """Kill a runner, or cancel its load; it is removed once the process is reaped.

        Before that it may save what it has computed for so many seconds.
        """
        if runner.unloading:
            return
        runner.unloading = True
        runner.phase = Phase.DRAINING
        if runner.load is not None:
            runner.load.cancel()
        else:
            self._tasks.create_task(self._close(runner, save_seconds))

    async def _load(self, runner: LoadedRunner) -> LoadOutcome:
        """Load the model; return errors, which may concern several requests or none."""
        other_runners = other_runners_of(runner, self._runners.values())
        config = self.config
        if runner.request.parallel:
            config = replace(config, num_parallel=runner.request.parallel)
        try:
            return await load_model(
                self._machines[runner.machine],
                runner.request,
                config,
                other_runners,
                runner.record_progress,
            )
        except (RunnerError, EvictionRequired) as e:
            return e
        except Exception:
            logger.exception("cannot load %s", runner.request.name)
            return LoadFailed("the model could not be loaded because of an internal error")

    def _load_ended(self, runner: LoadedRunner, task: "asyncio.Task[LoadOutcome]") -> None:
        self._machines.load_ended(runner.machine)
        runner.load = None
        outcome = None if task.cancelled() else task.result()
        if isinstance(outcome, ReadyRunner):
            self._load_succeeded(runner, outcome)
        else:
            self.counters.failed_loads += isinstance(outcome, RunnerError)
            self._remove(runner, outcome)

    def _load_succeeded(self, runner: LoadedRunner, loaded: ReadyRunner) -> None:
        is_cancelled, runner.unloading = runner.unloading, False
        runner.mark_ready(loaded, self._clock.now())
        self._machines.record_gpus(runner.machine, loaded.plan.inputs.gpus)
        loaded.runner.lost.add_done_callback(lambda _: self._lost(runner))
        loaded.runner.died.add_done_callback(lambda _: self._died(runner))
        if is_cancelled:
            # The load succeeded before the cancellation could reach it.
            self.unload(runner)
            return
        self.counters.loads += 1
        variant = loaded.runner.hello.cpu_variant
        suffix = f" (CPU variant {variant})" if variant else ""
        logger.info("loaded %s%s", runner.request.name, suffix)
        self._on_ready()

    async def _close(self, runner: LoadedRunner, save_seconds: float) -> None:
        assert runner.process is not None
        assert runner.plan is not None
        is_saved = runner.plan.spec.prefixes is not None and not runner.process.lost.done()
        if save_seconds and is_saved and not runner.is_retired:
            await runner.process.save_prefixes(save_seconds)
        await runner.process.close()
        logger.info("unloaded %s", runner.request.name)
        self._remove(runner, None)

    def _lost(self, runner: LoadedRunner) -> None:
        """Give no more requests to a runner that hangs, although its process is still there."""
        runner.phase = Phase.DRAINING

    def _died(self, runner: LoadedRunner) -> None:
        if not runner.unloading:
            runner.unloading = True
            self.counters.crashes += 1
            self._remove(runner, None)

    def _remove(self, runner: LoadedRunner, reason: LoadError | None) -> None:
        del self._runners[runner.id]
        if not self._runners:
            self.empty.set()
        self._on_removed(runner, reason)


def _with_replicas(status: RunnerStatus, listed: Iterable[RunnerStatus]) -> RunnerStatus:
    key = status.request.key
    return replace(status, replicas=tuple(e.replica for e in listed if e.request.key == key))
