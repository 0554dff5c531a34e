"""Replica scaling: load a model on more machines while its requests wait, and on fewer later."""

import logging
from collections.abc import Callable

from runners.host.clock import Clock, Timer
from runners.host.expiry import SAVE_SECONDS
from runners.host.machines import Machines
from runners.host.policy import State
from runners.host.replicas import AddReplica, RemoveReplica, scale
from runners.host.runner_pool import RunnerPool

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0


class ReplicaScaling:
    """Adds and removes replicas in `pool`; does nothing while there is one machine."""

    def __init__(
        self, pool: RunnerPool, machines: Machines, clock: Clock, state: Callable[[], State]
    ) -> None:
        self._pool, self._machines, self._clock, self._state = pool, machines, clock, state
        self._timer: Timer | None = None

    def watch(self) -> None:
        """Look again and again while models are loaded, where there are several machines."""
        is_needed = self._machines.are_many and any(True for _ in self._pool)
        if is_needed and self._timer is None:
            self._timer = self._clock.call_later(CHECK_SECONDS, self._check)
        elif not is_needed and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        state = self._state()
        most = self._pool.config.max_replicas or len(state.machines)
        for change in scale(state, self._clock.now(), max_replicas=most):
            match change:
                case AddReplica(demand, machine):
                    model = next(r for r in self._pool if r.request.key == demand.key)
                    logger.info("loading %s on %s too", model.request.name, machine)
                    self._pool.begin_load(model.request, demand, machine, is_replica=True)
                case RemoveReplica(runner):
                    self._pool.unload(self._pool[runner], save_seconds=SAVE_SECONDS)
        self.watch()
