"""The event queue of one request, which merges the chunks that a slow consumer has not read."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from runners.host.errors import RunnerError
from runners.protocol.messages import Chunk, Done, Embedded, Failed
from runners.protocol.stats import StatsReport
from runners.protocol.tokens import SpecialTokens, Text, Tokens

Answer: TypeAlias = Chunk | Done | Failed | Embedded | Tokens | Text | SpecialTokens | StatsReport

MERGE_AFTER = 64


class EventQueue:
    """An unbounded queue with one reader.

    A reader that falls behind gets several chunks merged into one. They are merged while they
    wait too, so that a stalled client costs the size of its text and not a struct per token.
    """

    __slots__ = ("_error", "_events", "_unmerged", "_waiter")

    def __init__(self) -> None:
        self._events: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: RunnerError | None = None
        self._unmerged = 0

    def put(self, event: Answer) -> None:
        """Add an event and wake the reader."""
        self._events.append(event)
        self._unmerged += 1
        if self._unmerged > MERGE_AFTER:
            self._merge_last()
        self._wake()

    def fail(self, error: RunnerError) -> None:
        """End the queue: the reader gets the queued events, then `error`."""
        self._error = error
        self._wake()

    async def get(self) -> Answer:
        """Return the next event, all queued chunks as one.

        Raises:
            RunnerError: the error of `fail`, once the queue is empty.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            await self._wait()
        events = self._events
        first = events.popleft()
        if type(first) is not Chunk or not events or type(events[0]) is not Chunk:
            self._unmerged = len(events)
            return first
        chunks = [first]
        while events and type(event := events[0]) is Chunk:
            chunks.append(event)
            events.popleft()
        self._unmerged = len(events)
        return _merge(chunks)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _merge_last(self) -> None:
        """Merge the newest chunks into one, as MERGE_AFTER of them are queued."""
        chunks: list[Chunk] = []
        events = self._events
        while len(chunks) < self._unmerged and events and type(event := events[-1]) is Chunk:
            chunks.append(event)
            events.pop()
        if chunks:
            events.append(_merge(chunks[::-1]))
        self._unmerged = 0


def _merge(chunks: Sequence[Chunk]) -> Chunk:
    return Chunk(
        chunks[0].id,
        "".join([chunk.text for chunk in chunks]),
        tuple([logprob for chunk in chunks for logprob in chunk.logprobs]),
        tuple([logprob for chunk in chunks for logprob in chunk.prompt_logprobs]),
    )
