"""Several pieces of work at once, of which none outlives the others."""

import asyncio
from collections.abc import Coroutine, Iterable


async def together(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Do all of it at once; the first error, or a cancellation, ends what is still being done.

    It is no task group because the first error is what the caller wants, not a group of one.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
