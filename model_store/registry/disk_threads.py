"""A thread pool for disk access and hashing, which would block the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from model_store.thread_calls import end_of

_P = ParamSpec("_P")
_T = TypeVar("_T")


class DiskThreads:
    """A few threads of our own, so that a large transfer does not occupy those of requests."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="registry")

    async def run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `call` returns; a caller that is cancelled still waits for it to end."""
        loop = asyncio.get_running_loop()
        return await end_of(loop.run_in_executor(self._pool, partial(call, *args, **kwargs)))

    def close(self) -> None:
        """Wait for running calls, then end the threads."""
        self._pool.shutdown()
