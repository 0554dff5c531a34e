"""Ping a runner at intervals and report when it hangs."""

import asyncio
from collections.abc import Callable

from runners.host.connection import Connection
from runners.host.liveness import Activity, Observation, ProbeConfig, Watchdog
from runners.protocol.messages import Ping, Pong


class Probe:
    """Observes one runner; calls `on_hung` once, with the reason, when it does not respond.

    `is_loading`: a load has its own timeout, so only answers count. `all_on_gpu`: see
    `ProbeConfig`.
    """

    def __init__(
        self,
        activity: Callable[[], Activity | None],
        connection: Connection,
        on_hung: Callable[[str], None],
        config: ProbeConfig,
    ) -> None:
        self._activity, self._connection, self._on_hung = activity, connection, on_hung
        self._interval = config.interval
        self._watchdog = Watchdog(config)
        self._pong = Pong(busy=False, steps=0)
        self._n_received = 0
        self._timer: asyncio.TimerHandle | None = None
        self.is_loading = False
        self.all_on_gpu = False

    def start(self) -> None:
        """Send the first ping and observe from now on."""
        self._connection.send(Ping())
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._observe)

    def stop(self) -> None:
        """Observe no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def record(self, pong: Pong) -> None:
        """Record the answer to a ping."""
        self._pong = pong

    def _observe(self) -> None:
        n_received, self._n_received = self._n_received, self._connection.n_received
        reason = self._watchdog.observe(
            Observation(
                has_answered=self._n_received != n_received,
                is_busy=self._pong.busy and not self.is_loading,
                n_steps=self._pong.steps,
                activity=self._activity(),
            ),
            all_on_gpu=self.all_on_gpu,
        )
        if reason is None:
            self.start()
        else:
            self._timer = None
            self._on_hung(reason)
