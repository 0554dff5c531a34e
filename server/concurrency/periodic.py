"""Repeat a call in a worker thread periodically, while a block runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def repeating(call: Callable[[], object], seconds: float) -> AsyncIterator[None]:
    """Call `call` in a thread every so many seconds, the first time after them."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(call)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
