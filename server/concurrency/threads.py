"""Run blocking calls in worker threads, off the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from model_store.thread_calls import end_of

_SHORT = 1 << 13
"""Characters that take less time to be read than the change to another thread."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what `call` returns, run in a worker thread.

    A cancelled caller waits for the call to end all the same, so that its next line can safely
    close a file or generator that the call uses.
    """
    return await end_of(asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs)))


async def in_thread_if_long(
    n_characters: int, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Return what `call` makes of so much text, run in a worker thread unless that is little."""
    if n_characters <= _SHORT:
        return call(*args, **kwargs)
    return await in_thread(call, *args, **kwargs)
