"""One runner kept ready without a model, so that a cold load does not wait for an interpreter."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runners.host.process import RunnerProcess

logger = logging.getLogger(__name__)

REFILL_DELAY = 1.0


class Standby:
    """Keeps one started runner; `run` is its background work and ends it when cancelled."""

    def __init__(
        self,
        start: Callable[[], Awaitable[RunnerProcess]] = RunnerProcess.start,
        *,
        delay: float = REFILL_DELAY,
    ) -> None:
        self._start = start
        self._delay = delay
        self._ready: RunnerProcess | None = None
        self._wanted = asyncio.Event()
        self._starting: asyncio.Task[RunnerProcess] | None = None

    def refill(self) -> None:
        """Have a runner started if none is ready; it begins after a short delay.

        Called when a load has ended: starting an interpreter during the load would slow it.
        """
        if self._ready is None:
            self._wanted.set()

    async def take(self) -> RunnerProcess:
        """Return a runner that has said hello; the caller owns it from here on."""
        if self._starting is not None:
            # Nearer to its end than anything that could be started now.
            await asyncio.wait([self._starting])
        runner, self._ready = self._ready, None
        if runner is not None:
            if not runner.died.done():
                return runner
            await runner.close()
        return await self._start()

    async def run(self) -> None:
        """Start runners as they are wanted, until cancelled."""
        delay = 0.0
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await asyncio.sleep(delay)
                delay = self._delay
                await self._fill()
        finally:
            if self._ready is not None:
                await self._ready.close()
                self._ready = None

    async def _fill(self) -> None:
        if self._ready is not None:
            return
        starting = self._starting = asyncio.ensure_future(self._start())
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError:
            starting.cancel()
            await asyncio.wait([starting])
            raise
        finally:
            # Also when cancelled: it may have started in that very moment.
            self._starting = None
            self._ready = _result(starting)


def _result(starting: "asyncio.Future[RunnerProcess]") -> RunnerProcess | None:
    if starting.cancelled():
        return None
    error = starting.exception()
    if error is None:
        return starting.result()
    # Whoever needs a runner starts one itself and is told what is wrong.
    logger.warning("no standby runner: %s", error)
    return None
