"""The runners of this server: how one is loaded, ended, and removed when it is gone.

It does as it is told. What should be loaded or ended, and who waits for it, is the scheduler's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial

from runners.host.clock import Clock
from runners.host.errors import LoadFailed, RunnerError
from runners.host.loaded_runner import LoadedRunner, neighbours_of
from runners.host.loading import Crowded, ReadyRunner, load_model
from runners.host.machine import Machine
from runners.host.model_request import ModelRequest, SchedulerConfig, keep_alive_seconds
from runners.host.policy import Phase, RunnerDemand
from runners.protocol.messages import Device

logger = logging.getLogger(__name__)


class RunnerPool:
    """Owns every runner from the start of its load until its process is reaped.

    `on_gone` is called after a runner was removed, with the reason when its load failed;
    `on_ready` when a load has succeeded.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        *,
        machine: Machine,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        on_ready: Callable[[], None],
        on_gone: Callable[[LoadedRunner, RunnerError | Crowded | None], None],
    ) -> None:
        self._config = config
        self._machine = machine
        self._clock = clock
        self._tasks = tasks
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._runners: dict[int, LoadedRunner] = {}
        self._last_id = 0
        self.gpus: tuple[Device, ...] = ()
        self.empty = asyncio.Event()
        self.empty.set()

    def __iter__(self) -> Iterator[LoadedRunner]:
        """Yield the runners of this moment, the oldest first."""
        return iter(tuple(self._runners.values()))

    def __getitem__(self, runner_id: int) -> LoadedRunner:
        return self._runners[runner_id]

    def __contains__(self, runner: LoadedRunner) -> bool:
        return runner.id in self._runners

    def begin_load(self, request: ModelRequest, demand: RunnerDemand, machine: str) -> None:
        """Start to load a model."""
        config = self._config
        asked = config.keep_alive if request.keep_alive is None else request.keep_alive
        self._last_id += 1
        runner = LoadedRunner(
            id=self._last_id,
            machine=machine,
            request=request,
            n_ctx=demand.n_ctx,
            context_automatic=request.options.num_ctx is None and config.context_length == 0,
            keep_alive=keep_alive_seconds(asked),
            last_used=self._clock.now(),
        )
        self._runners[runner.id] = runner
        self.empty.clear()
        runner.load = self._tasks.create_task(self._load(runner))
        # Not at the end of the task itself, which never runs when it is cancelled soon enough.
        runner.load.add_done_callback(partial(self._load_ended, runner))

    def end(self, runner: LoadedRunner) -> None:
        """Have a runner killed, or its load given up; it is removed when the process is gone."""
        if runner.leaving:
            return
        runner.leaving = True
        runner.phase = Phase.DRAINING
        if runner.load is not None:
            runner.load.cancel()
        else:
            self._tasks.create_task(self._close(runner))

    async def _load(self, runner: LoadedRunner) -> ReadyRunner | RunnerError | Crowded:
        """Return how the load ended: errors as values, for they concern more than one request."""
        neighbours = neighbours_of(runner, self._runners.values())
        try:
            return await load_model(self._machine, runner.request, self._config, neighbours)
        except (RunnerError, Crowded) as e:
            return e
        except Exception:
            logger.exception("cannot load %s", runner.request.name)
            return LoadFailed("the model could not be loaded because of an internal error")

    def _load_ended(
        self, runner: LoadedRunner, task: "asyncio.Task[ReadyRunner | RunnerError | Crowded]"
    ) -> None:
        self._machine.load_ended()
        runner.load = None
        outcome = None if task.cancelled() else task.result()
        if isinstance(outcome, ReadyRunner):
            self._take_over(runner, outcome)
        else:
            self._remove(runner, outcome)

    def _take_over(self, runner: LoadedRunner, loaded: ReadyRunner) -> None:
        given_up, runner.leaving = runner.leaving, False
        runner.become_ready(loaded, self._clock.now())
        self.gpus = loaded.plan.task.gpus or self.gpus
        loaded.runner.died.add_done_callback(lambda _: self._died(runner))
        if given_up:
            # It became ready at the very moment when nobody demand it any more.
            self.end(runner)
            return
        logger.info("loaded %s", runner.request.name)
        self._on_ready()

    async def _close(self, runner: LoadedRunner) -> None:
        assert runner.runner is not None
        await runner.runner.close()
        logger.info("unloaded %s", runner.request.name)
        self._remove(runner, None)

    def _died(self, runner: LoadedRunner) -> None:
        if not runner.leaving:
            runner.leaving = True
            self._remove(runner, None)

    def _remove(self, runner: LoadedRunner, reason: RunnerError | Crowded | None) -> None:
        del self._runners[runner.id]
        if not self._runners:
            self.empty.set()
        self._on_gone(runner, reason)
