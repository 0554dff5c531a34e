"""Merge several asynchronous generators into one, in the order in which items arrive."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

_T = TypeVar("_T")

# Items wait in the streams' own queues when the consumer is slow.
_QUEUE_SIZE: Final = 8


async def merged(
    streams: Sequence[AsyncGenerator[_T, None]], *, concurrency: int
) -> AsyncGenerator[_T, None]:
    """Yield the items of `streams`, `concurrency` of them running at a time, each in its own order.

    The first stream that fails ends them all. All are closed in the end.
    """
    queue: asyncio.Queue[_T | _End] = asyncio.Queue(_QUEUE_SIZE)
    pumping = asyncio.ensure_future(_pump_all(streams, queue, concurrency))
    try:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        pumping.cancel()
        await asyncio.wait([pumping])


class _End:
    """The end of the merged stream; `error` is the failure that ended it early."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def _pump_all(
    streams: Sequence[AsyncGenerator[_T, None]], queue: "asyncio.Queue[_T | _End]", concurrency: int
) -> None:
    running = asyncio.Semaphore(concurrency)

    async def pump(stream: AsyncGenerator[_T, None]) -> None:
        async with running, aclosing(stream):
            async for item in stream:
                await queue.put(item)

    end = _End()
    try:
        async with asyncio.TaskGroup() as tasks:
            for stream in streams:
                tasks.create_task(pump(stream))
    except* Exception as failures:  # noqa: BLE001  # raised by the consumer of the queue
        end = _End(_first(failures))
    await queue.put(end)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
