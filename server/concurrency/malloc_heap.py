"""Keep the heap of glibc's malloc small: one arena for all threads, free pages given back.

With another C library both do nothing.
"""

import asyncio
import ctypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""
_SECONDS: Final = 60.0


def limit_arenas() -> None:
    """Let all threads that start from now on allocate from one arena.

    What a thread frees stays with its arena: each of the server's threads kept 3 MB of what
    requests had needed. Threads rarely wait for each other here, since most allocations are
    made while Python's lock is held.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


@asynccontextmanager
async def returning_free_pages(seconds: float = _SECONDS) -> AsyncIterator[None]:
    """Give free pages back to the system every so many seconds until the block ends.

    By itself malloc gives back only those at the heap's end, where anything small keeps what a
    burst of requests has needed: in a day of bursts the heap grows by half. A call takes a
    millisecond or two, in a thread.
    """
    trim = _function("malloc_trim")
    task = None if trim is None else asyncio.create_task(_repeat(trim, seconds))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _repeat(trim: Callable[[int], Any], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(trim, 0)


def _function(name: str) -> Callable[..., Any] | None:
    return getattr(ctypes.CDLL(None), name, None)
