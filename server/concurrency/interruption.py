"""Streams that end with an error when an event is set, such as the shutdown of the server."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

_T = TypeVar("_T")


class _End:
    """The end of a stream."""


_END: Final = _End()


async def interruptible(
    events: AsyncGenerator[_T, None], stop: asyncio.Event, error: Callable[[], Exception]
) -> AsyncGenerator[_T, None]:
    """Yield the events of a stream; when `stop` is set, cancel it and raise `error()`.

    The stream is closed in the end, however it ends.
    """
    async with aclosing(events):
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                step = asyncio.ensure_future(anext(events, _END))
                try:
                    await asyncio.wait((step, stopping), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _cancel(step)
                if step.cancelled():
                    break
                event = step.result()
                if isinstance(event, _End):
                    return
                yield event
        finally:
            stopping.cancel()
        raise error()


async def _cancel(task: "asyncio.Task[_T | _End]") -> None:
    """Cancel a task that has not ended, and wait until it has."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
