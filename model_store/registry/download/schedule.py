"""Order of a blob's parts: which is fetched next, and which slow one is split; no I/O."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from model_store.registry.parts import Part

_MOST_TAKEOVERS = 3
"""How often in a row a part that brings nothing gets a new connection before its own fails."""


@dataclass(slots=True, eq=False)
class PartFetch:
    """A part that is being fetched; times in seconds of one clock.

    `received` is the first byte that has not arrived: those between the part's position and it
    are in memory. While it `is_waiting`, it has no connection. Whoever takes over all that is
    missing cancels `scope`.
    """

    part: Part
    started_at: float
    first: int = field(init=False)
    received: int = field(init=False)
    last_byte_at: float = field(init=False)
    is_waiting: bool = False
    scope: asyncio.Timeout | None = None

    def __post_init__(self) -> None:
        self.first = self.received = self.part.position
        self.last_byte_at = self.started_at

    @property
    def missing(self) -> int:
        """Bytes that have not arrived."""
        return self.part.stop - self.received

    def connect(self, now: float) -> None:
        """Note that a connection is tried now."""
        self.is_waiting = False
        self.first, self.started_at, self.last_byte_at = self.received, now, now

    def receive(self, n_bytes: int, now: float) -> None:
        """Note that bytes have arrived."""
        self.received += n_bytes
        self.last_byte_at = now

    def rate(self, now: float) -> float:
        """Return the bytes per second of the current connection."""
        return (self.received - self.first) / max(now - self.started_at, 1e-3)

    def seconds_left(self, now: float) -> float:
        """Return how long the rest takes at the present rate."""
        rate = self.rate(now)
        return self.missing / rate if rate else math.inf


class Schedule:
    """The parts of one blob in order: waiting, being fetched, and done."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = sorted(parts, key=lambda part: (part.start, part.stop))
        self._waiting = [part for part in reversed(self.parts) if not part.is_done]
        self._running: list[PartFetch] = []
        self._first_open = 0

    @property
    def completed(self) -> int:
        """Bytes on the disk."""
        return sum(part.completed for part in self.parts)

    @property
    def frontier(self) -> int:
        """How many bytes from the start of the blob are on the disk without a gap."""
        while self._first_open < len(self.parts) and self.parts[self._first_open].is_done:
            self._first_open += 1
        if self._first_open == len(self.parts):
            return self.parts[-1].stop if self.parts else 0
        return self.parts[self._first_open].position

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to fetch."""
        return not self._waiting and not self._running

    def start(self, now: float) -> PartFetch | None:
        """Return the next part to fetch, the first in the file; None if none waits."""
        if not self._waiting:
            return None
        fetch = PartFetch(self._waiting.pop(), now)
        self._running.append(fetch)
        return fetch

    def finish(self, fetch: PartFetch) -> None:
        """Note that a part is no longer being fetched; what is missing of it waits again."""
        self._running.remove(fetch)
        if not fetch.part.is_done:
            self._waiting.append(fetch.part)

    def slowest(self, now: float, *, slow_seconds: float, smallest: int) -> PartFetch | None:
        """Return the fetch that an idle connection should help with, None if there is none.

        That is one on which nothing has arrived for `slow_seconds`; else one that has run for as
        long and is not near its end, with at least `smallest` bytes missing.
        """
        connected = [f for f in self._running if f.missing and not f.is_waiting]
        silent = [
            fetch
            for fetch in connected
            if now - fetch.last_byte_at >= slow_seconds and fetch.part.failures < _MOST_TAKEOVERS
        ]
        slow = [
            fetch
            for fetch in connected
            if now - fetch.started_at >= slow_seconds
            and fetch.seconds_left(now) > slow_seconds / 2
            and fetch.missing >= smallest
        ]
        return max(silent or slow, key=lambda fetch: fetch.seconds_left(now), default=None)

    def split(self, fetch: PartFetch, *, is_silent: bool) -> Part:
        """Cut off the second half of what is missing of `fetch`; all of it if nothing arrives."""
        part = fetch.part
        middle = fetch.received + (0 if is_silent else fetch.missing // 2)
        new = Part(len(self.parts), middle, part.stop - middle)
        if is_silent:
            new.failures = 1 if fetch.received > fetch.first else part.failures + 1
        part.size = middle - part.start
        self.parts.insert(self.parts.index(part) + 1, new)
        self._waiting.append(new)
        return new
