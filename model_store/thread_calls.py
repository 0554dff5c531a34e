"""Wait for a call in a thread, or a task, to end, however often its caller is cancelled."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def _nothing() -> None:
    """Let the call go on."""


async def end_of(work: "asyncio.Future[_T]", on_cancel: Callable[[], None] = _nothing) -> _T:
    """Return the result of a call, or raise its error; a cancelled caller too waits for its end.

    A caller may be cancelled twice: by a time limit, and by the client that leaves. Its next line
    closes the file that the call writes, and then another file may get the same descriptor.
    `on_cancel` is called each time, and may make the call end sooner.
    """
    await wait_for_end(work, on_cancel)
    return work.result()


async def wait_for_end(
    work: "asyncio.Future[Any]", on_cancel: Callable[[], None] = _nothing
) -> None:
    """Wait as `end_of` does; whether the work succeeded, failed or was cancelled makes no error."""
    cancelled = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as e:
            cancelled = e
            on_cancel()
    if cancelled is not None:
        if not work.cancelled():
            work.exception()  # nobody else looks at it: it would be logged
        raise cancelled
