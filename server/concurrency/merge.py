"""Several streams as one: whatever comes, as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

_T = TypeVar("_T")

# A consumer that is slower than the runners lets them wait in their own mailboxes.
_MOST_AHEAD: Final = 8


async def merged(
    streams: Sequence[AsyncGenerator[_T, None]], *, at_once: int
) -> AsyncGenerator[_T, None]:
    """Yield what the streams yield, so many of them at once, each in its own order.

    The first one that fails ends them all. All are closed in the end.
    """
    queue: asyncio.Queue[_T | _End] = asyncio.Queue(_MOST_AHEAD)
    pumping = asyncio.ensure_future(_pump_all(streams, queue, at_once))
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
    streams: Sequence[AsyncGenerator[_T, None]], queue: "asyncio.Queue[_T | _End]", at_once: int
) -> None:
    turns = asyncio.Semaphore(at_once)

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
