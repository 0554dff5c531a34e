"""The clock and timers of the scheduler, an interface so that tests can control time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A scheduled call, as of `asyncio.TimerHandle`."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """A monotonic clock with timers."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def today(self) -> datetime:
        """Return the date and time in UTC."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `delay` seconds."""


class LoopClock:
    """The clock of the running event loop."""

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def today(self) -> datetime:
        """Return the system's time."""
        return datetime.now(UTC)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` from the loop."""
        return asyncio.get_running_loop().call_later(delay, callback)
