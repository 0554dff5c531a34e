"""A clock that moves when a test says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class FakeTimer:
    """A call that is due at a moment of the fake clock."""

    at: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeClock:
    """Implements `runners.host.clock.Clock`; time stands still between calls of `advance`."""

    time: float = 1000.0
    timers: list[FakeTimer] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def today(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.time + delay, callback)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Move on, making the calls that come due on the way, in order."""
        end = self.time + seconds
        while due := sorted((t for t in self.live() if t.at <= end), key=lambda t: t.at):
            self.timers.remove(due[0])
            self.time = max(self.time, due[0].at)
            due[0].callback()
        self.time = end

    def live(self) -> list[FakeTimer]:
        """Return the timers that may still go off."""
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        return self.timers
