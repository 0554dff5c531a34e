"""Time as the scheduler sees it, so that tests can bring their own."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """A source of time and of calls that are due later."""

    def now(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    def today(self) -> datetime:
        """Return date and time in UTC."""

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
        """Have the loop call back."""
        return asyncio.get_running_loop().call_later(delay, callback)
