"""Expiry: unload idle models when their keep-alive time is over."""

import math

from runners.host.clock import Clock, Timer
from runners.host.runner_pool import RunnerPool

SAVE_SECONDS = 3.0
"""How long an expired runner may save what it has computed."""
# Longer timers are set again when this one fires: event loops differ in the longest they accept.
_MAX_TIMER = 3600.0


class Expiry:
    """Watches the runners of `pool`."""

    def __init__(self, pool: RunnerPool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._timer: Timer | None = None

    def check(self) -> None:
        """Unload the models whose time is over, and set the timer for the next."""
        now = self._clock.now()
        idle = [each for each in self._pool if each.may_expire]
        for runner in idle:
            if runner.expires_at <= now:
                self._pool.unload(runner, save_seconds=SAVE_SECONDS)
        due = min((each.expires_at for each in idle if not each.unloading), default=math.inf)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = self._clock.call_later(min(due - now, _MAX_TIMER), self.check)
