"""Several streams as one: the answers to all prompts of a request, as they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

_T = TypeVar("_T")

_MOST_AT_ONCE: Final = 16
_MOST_AHEAD: Final = 64


async def merged(streams: Sequence[AsyncGenerator[_T, None]]) -> AsyncGenerator[_T, None]:
    """Yield what the streams yield, a bounded number of them at once, each in its own order.

    The first one that fails ends them all. All are closed in the end.
    """
    queue: asyncio.Queue[_T | _End] = asyncio.Queue(_MOST_AHEAD)
    pumping = asyncio.ensure_future(_pump_all(streams, queue))
    try:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        pumping.cancel()
        await asyncio.wait([pumping])


class _End:
    """Nothing more comes; `error` says why, if it came too early."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def _pump_all(
    streams: Sequence[AsyncGenerator[_T, None]], queue: "asyncio.Queue[_T | _End]"
) -> None:
    turns = asyncio.Semaphore(_MOST_AT_ONCE)

    async def pump(stream: AsyncGenerator[_T, None]) -> None:
        async with turns, aclosing(stream):
            async for item in stream:
                await queue.put(item)

    end = _End()
    try:
        async with asyncio.TaskGroup() as tasks:
            for stream in streams:
                tasks.create_task(pump(stream))
    except* Exception as failures:  # noqa: BLE001  # told to whoever takes from the queue
        end = _End(_first(failures))
    await queue.put(end)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
