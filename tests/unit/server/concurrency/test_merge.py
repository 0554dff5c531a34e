"""Merged streams: order, concurrency, failure and cancellation."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from server.concurrency.merge import merged

pytestmark = pytest.mark.anyio


class Streams:
    """Streams of numbers; counts those that are open."""

    def __init__(self) -> None:
        self.open = self.most_open = 0

    async def count(self, *numbers: int, fails: bool = False) -> AsyncGenerator[int, None]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for number in numbers:
                await asyncio.sleep(0)
                yield number
            if fails:
                raise ValueError("failed")
        finally:
            self.open -= 1

    async def endless(self) -> AsyncGenerator[int, None]:
        self.open += 1
        try:
            while True:
                yield 0
                await asyncio.sleep(0)
        finally:
            self.open -= 1


async def test_items_are_in_the_order_of_their_stream() -> None:
    streams = Streams()

    found = [
        n async for n in merged([streams.count(1, 2, 3), streams.count(10, 20)], concurrency=9)
    ]

    assert sorted(found) == [1, 2, 3, 10, 20]
    assert [n for n in found if n < 10] == [1, 2, 3]
    assert [n for n in found if n >= 10] == [10, 20]


async def test_only_so_many_run_concurrency() -> None:
    streams = Streams()

    found = [n async for n in merged([streams.count(n) for n in range(100)], concurrency=16)]

    assert sorted(found) == list(range(100))
    assert streams.most_open == 16


async def test_the_first_failure_ends_them_all() -> None:
    streams = Streams()
    both = merged([streams.endless(), streams.count(1, fails=True)], concurrency=9)

    with pytest.raises(ValueError, match="failed"):
        async for _ in both:
            pass

    assert streams.open == 0


async def test_a_consumer_that_stops_closes_them_all() -> None:
    streams = Streams()
    both = merged([streams.endless(), streams.endless()], concurrency=9)
    await anext(both)

    await both.aclose()

    assert streams.open == 0


async def test_a_consumer_that_is_cancelled_closes_them_all() -> None:
    streams = Streams()
    waits = asyncio.Event()

    async def silent() -> AsyncGenerator[int, None]:
        streams.open += 1
        try:
            waits.set()
            await asyncio.Event().wait()
            yield 0
        finally:
            streams.open -= 1

    async def consume() -> None:
        async for _ in merged([silent(), silent()], concurrency=9):
            pass

    consumer = asyncio.create_task(consume())
    await waits.wait()
    consumer.cancel()
    await asyncio.wait([consumer])

    assert streams.open == 0
