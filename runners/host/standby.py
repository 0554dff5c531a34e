"""The standby runner: a started process without a model, which makes cold loads fast."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakSet

from runners.host.errors import RunnerError
from runners.host.process import RunnerProcess

logger = logging.getLogger(__name__)

REFILL_DELAY = 1.0
MAX_WAIT = 10.0
"""Seconds after which a standby runner is started although other runners compute."""
# Not at once, since whatever ended the runner may end the next one too.
REPLACE_DELAY = 30.0


class Standby:
    """Keeps one started runner; `run` starts it in the background and kills it when cancelled."""

    def __init__(
        self,
        start: Callable[[], Awaitable[RunnerProcess]] = RunnerProcess.start,
        *,
        delay: float = REFILL_DELAY,
        replace_delay: float = REPLACE_DELAY,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self._start_process = start
        self._delay = delay
        self._replace_delay = replace_delay
        self._max_wait = max_wait
        self._started: WeakSet[RunnerProcess] = WeakSet()
        self._ready: RunnerProcess | None = None
        self.can_start = True
        """Whether the latest start succeeded, or there was none yet."""
        self._refill_event = asyncio.Event()
        self._starting: asyncio.Task[RunnerProcess] | None = None

    def refill(self) -> None:
        """Start a runner if none is ready, after a short delay and once no other computes.

        Called when a load has ended: starting an interpreter during a load, or during the prompt
        that waited for it, would slow it down.
        """
        if self._ready is None or self._ready.lost.done():
            self._refill_event.set()

    async def take(self) -> RunnerProcess:
        """Return a runner that has sent `Hello`; the caller owns it and closes it."""
        if self._starting is not None:
            # It is ready sooner than a process started now.
            await asyncio.wait([self._starting])
        runner, self._ready = self._ready, None
        if runner is not None:
            if not runner.lost.done():
                return runner
            await runner.close()
        return await self._start()

    async def _start(self) -> RunnerProcess:
        try:
            process = await self._start_process()
        except RunnerError:
            self.can_start = False
            raise
        self.can_start = True
        self._started.add(process)
        return process

    async def run(self) -> None:
        """Start a runner after each `refill`, until cancelled."""
        delay = 0.0
        try:
            while True:
                await self._refill_event.wait()
                self._refill_event.clear()
                await asyncio.sleep(delay)
                await self._quiet()
                delay = self._delay
                await self._fill()
        finally:
            if self._ready is not None:
                await self._ready.close()
                self._ready = None

    async def _quiet(self) -> None:
        """Wait until no runner has a request."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._max_wait):
                # A look now and then costs less than a word from each request.
                while any(runner.connection.n_pending for runner in self._started):  # noqa: ASYNC110
                    await asyncio.sleep(self._delay)

    async def _fill(self) -> None:
        if self._ready is not None:
            if not self._ready.lost.done():
                return
            lost, self._ready = self._ready, None
            await lost.close()
        starting = self._starting = asyncio.ensure_future(self._start())
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError:
            starting.cancel()
            await asyncio.wait([starting])
            raise
        finally:
            # Also when cancelled: the process may have started just before.
            self._starting = None
            self._ready = _result(starting)
            if self._ready is not None:
                self._ready.lost.add_done_callback(self._replace)

    def _replace(self, lost: "asyncio.Future[None]") -> None:
        """Replace a standby runner that exited or hangs; one that was taken needs no other."""
        if self._ready is not None and self._ready.lost is lost:
            lost.get_loop().call_later(self._replace_delay, self.refill)


def _result(starting: "asyncio.Future[RunnerProcess]") -> RunnerProcess | None:
    if starting.cancelled():
        return None
    error = starting.exception()
    if error is None:
        return starting.result()
    # The next load starts a runner itself and reports the error to its client.
    logger.warning("cannot start the standby runner: %s", error)
    return None
