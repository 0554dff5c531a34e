"""Which part is fetched next, and which is taken over in half; pure state, no I/O."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from model_store.registry.parts import Part


@dataclass(slots=True, eq=False)
class Fetch:
    """A part that is being fetched; times in seconds of one clock.

    `received` is the first byte that has not come yet: those between the part's position and it
    are in memory. The last one came at `heard`. Whoever takes over all of it ends `scope`.
    """

    part: Part
    began: float
    first: int = field(init=False)
    received: int = field(init=False)
    heard: float = field(init=False)
    scope: asyncio.Timeout | None = None

    def __post_init__(self) -> None:
        self.first = self.received = self.part.position
        self.heard = self.began

    @property
    def missing(self) -> int:
        """How many bytes have not come yet."""
        return self.part.stop - self.received

    def receive(self, n_bytes: int, now: float) -> None:
        """Note that bytes have come."""
        self.received += n_bytes
        self.heard = now

    def seconds_left(self, now: float) -> float:
        """Return how long the rest takes if it goes on as it went so far."""
        got = self.received - self.first
        return self.missing * (now - self.began) / got if got else math.inf


class Schedule:
    """The parts of one blob in order, those that are being fetched, and what is done."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = sorted(parts, key=lambda part: (part.start, part.stop))
        self._waiting = [part for part in reversed(self.parts) if not part.is_done]
        self._running: list[Fetch] = []
        self._front = 0

    @property
    def completed(self) -> int:
        """Bytes on the disk."""
        return sum(part.completed for part in self.parts)

    @property
    def frontier(self) -> int:
        """Where the bytes that are on the disk without a gap end."""
        while self._front < len(self.parts) and self.parts[self._front].is_done:
            self._front += 1
        if self._front == len(self.parts):
            return self.parts[-1].stop if self.parts else 0
        return self.parts[self._front].position

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to fetch."""
        return not self._waiting and not self._running

    def begin(self, now: float) -> Fetch | None:
        """Return the next part to fetch, the first in the file; None if none waits."""
        if not self._waiting:
            return None
        fetch = Fetch(self._waiting.pop(), now)
        self._running.append(fetch)
        return fetch

    def end(self, fetch: Fetch) -> None:
        """Note that a part is not being fetched any more; what is missing of it waits again."""
        self._running.remove(fetch)
        if not fetch.part.is_done:
            self._waiting.append(fetch.part)

    def slowest(self, now: float, *, patience: float, smallest: int) -> Fetch | None:
        """Return the fetch that somebody idle should help with, None if all go well.

        One on which nothing has come for `patience` seconds counts. So does one that has run for
        as long and will for as long again, if `smallest` bytes are missing.
        """
        silent = [f for f in self._running if f.missing and now - f.heard >= patience]
        slow = [
            fetch
            for fetch in self._running
            if now - fetch.began >= patience
            and fetch.seconds_left(now) > patience
            and fetch.missing >= smallest
        ]
        return max(silent or slow, key=lambda fetch: fetch.seconds_left(now), default=None)

    def split(self, fetch: Fetch, *, is_silent: bool) -> Part:
        """Take the second half of what is missing of `fetch`, all of it if nothing comes."""
        part = fetch.part
        middle = fetch.received + (0 if is_silent else fetch.missing // 2)
        new = Part(len(self.parts), middle, part.stop - middle)
        part.size = middle - part.start
        self.parts.insert(self.parts.index(part) + 1, new)
        self._waiting.append(new)
        return new
