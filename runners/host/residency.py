"""The runners of this server: how one is loaded, ended, and removed when it is gone.

It does as it is told. What should be loaded or ended, and who waits for it, is the scheduler's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial

from runners.host.clock import Clock
from runners.host.errors import LoadFailed, RunnerError
from runners.host.hosts import Host
from runners.host.loading import Crowded, Loaded, load_model
from runners.host.policy import Phase, Wanted
from runners.host.requests import ModelRequest, SchedulerConfig, keep_alive_seconds
from runners.host.residents import Resident, neighbours_of
from runners.protocol.messages import Device

logger = logging.getLogger(__name__)


class Residency:
    """Owns every runner from the start of its load until its process is reaped.

    `on_gone` is called after a resident was removed, with the reason when its load failed;
    `on_ready` when a load has succeeded.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        *,
        host: Host,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        on_ready: Callable[[], None],
        on_gone: Callable[[Resident, RunnerError | Crowded | None], None],
    ) -> None:
        self._config = config
        self._host = host
        self._clock = clock
        self._tasks = tasks
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._residents: dict[int, Resident] = {}
        self._last_id = 0
        self.gpus: tuple[Device, ...] = ()
        self.empty = asyncio.Event()
        self.empty.set()

    def __iter__(self) -> Iterator[Resident]:
        """Yield the residents of this moment, the oldest first."""
        return iter(tuple(self._residents.values()))

    def __getitem__(self, resident_id: int) -> Resident:
        return self._residents[resident_id]

    def __contains__(self, resident: Resident) -> bool:
        return resident.id in self._residents

    def begin_load(self, request: ModelRequest, wanted: Wanted, place: str) -> None:
        """Start to load a model."""
        config = self._config
        asked = config.keep_alive if request.keep_alive is None else request.keep_alive
        self._last_id += 1
        resident = Resident(
            id=self._last_id,
            place=place,
            request=request,
            n_ctx=wanted.n_ctx,
            context_automatic=request.options.num_ctx is None and config.context_length == 0,
            keep_alive=keep_alive_seconds(asked),
            last_used=self._clock.now(),
        )
        self._residents[resident.id] = resident
        self.empty.clear()
        resident.load = self._tasks.create_task(self._load(resident))
        # Not at the end of the task itself, which never runs when it is cancelled soon enough.
        resident.load.add_done_callback(partial(self._load_ended, resident))

    def end(self, resident: Resident) -> None:
        """Have a runner killed, or its load given up; it is removed when the process is gone."""
        if resident.leaving:
            return
        resident.leaving = True
        resident.phase = Phase.DRAINING
        if resident.load is not None:
            resident.load.cancel()
        else:
            self._tasks.create_task(self._close(resident))

    async def _load(self, resident: Resident) -> Loaded | RunnerError | Crowded:
        """Return how the load ended: errors as values, for they concern more than one request."""
        neighbours = neighbours_of(resident, self._residents.values())
        try:
            return await load_model(self._host, resident.request, self._config, neighbours)
        except (RunnerError, Crowded) as e:
            return e
        except Exception:
            logger.exception("cannot load %s", resident.request.name)
            return LoadFailed("the model could not be loaded because of an internal error")

    def _load_ended(
        self, resident: Resident, task: "asyncio.Task[Loaded | RunnerError | Crowded]"
    ) -> None:
        self._host.load_ended()
        resident.load = None
        outcome = None if task.cancelled() else task.result()
        if isinstance(outcome, Loaded):
            self._take_over(resident, outcome)
        else:
            self._remove(resident, outcome)

    def _take_over(self, resident: Resident, loaded: Loaded) -> None:
        given_up, resident.leaving = resident.leaving, False
        resident.become_ready(loaded, self._clock.now())
        self.gpus = loaded.plan.task.gpus or self.gpus
        loaded.runner.died.add_done_callback(lambda _: self._died(resident))
        if given_up:
            # It became ready at the very moment when nobody wanted it any more.
            self.end(resident)
            return
        logger.info("loaded %s", resident.request.name)
        self._on_ready()

    async def _close(self, resident: Resident) -> None:
        assert resident.runner is not None
        await resident.runner.close()
        logger.info("unloaded %s", resident.request.name)
        self._remove(resident, None)

    def _died(self, resident: Resident) -> None:
        if not resident.leaving:
            resident.leaving = True
            self._remove(resident, None)

    def _remove(self, resident: Resident, reason: RunnerError | Crowded | None) -> None:
        del self._residents[resident.id]
        if not self._residents:
            self.empty.set()
        self._on_gone(resident, reason)
