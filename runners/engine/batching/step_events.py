"""Stream interval: events of quick steps are gathered, so that the server wakes less often.

A small model computes a token in a few milliseconds. Handing each on wakes the server, which parses
it and writes it to a socket, and the client, on cores that the next step needs: threads that
compute wait for each other after every operation, so all of them wait for the one that lost its
core. Twenty messages a second are faster than anybody reads.
"""

import time
from collections.abc import Callable

from runners.protocol.messages import Chunk, Done, Failed

STREAM_INTERVAL_NS = 50_000_000
"""Least time between two messages while nothing but further tokens of running answers comes.

Text waits for less than this. Models that need more than half of it for a step, and so generate
fewer than about 40 tokens per second, have each token sent at once.
"""

Event = Chunk | Done | Failed
Emit = Callable[[tuple[Event, ...]], None]


class StepEvents:
    """The events of an engine that are not sent yet; `emit` sends some in one message.

    The first text of an answer and the end of one are sent at the end of their step, with all that
    was held back. Who is about to do something that takes longer than a step calls `flush` first.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        interval_ns: int = STREAM_INTERVAL_NS,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """With an interval of 0 every step's events are sent at its end."""
        self._emit, self._interval_ns, self._clock = emit, interval_ns, clock
        self._events: list[Event] = []
        self._streams: set[int] = set()
        self._is_due = False
        self._sent_ns = clock() - interval_ns

    def add(self, event: Event) -> None:
        """Add an event of the current step."""
        self._events.append(event)
        if type(event) is not Chunk:
            self._streams.discard(event.id)
            self._is_due = True
        elif event.text and event.id not in self._streams:
            self._streams.add(event.id)
            self._is_due = True

    def end_step(self, step_ns: int) -> None:
        """Send the events, unless they can wait for those of another step of `step_ns`."""
        if self._is_due or self._clock() + step_ns - self._sent_ns >= self._interval_ns:
            self.flush()

    def flush(self) -> None:
        """Send the events so far."""
        if self._events:
            events, self._events = tuple(self._events), []
            self._is_due = False
            self._emit(events)
            self._sent_ns = self._clock()
