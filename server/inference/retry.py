"""Retry a request once if its runner was killed or hung before it sent anything.

Only errors with `can_retry` are retried: they say that the request did not cause the failure. The
second attempt loads the model again if necessary. The client notices no more than the time. A
request whose machine was lost is placed again twice, since the next machine may be lost as well.
"""

import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, ParamSpec, TypeVar

from runners.host.errors import RunnerError

_log = logging.getLogger(__name__)
_RETRIES: Final = 1
_RETRIES_OF_LOST: Final = 2

_P = ParamSpec("_P")
_T = TypeVar("_T")


def retry_call(call: Callable[_P, Awaitable[_T]]) -> Callable[_P, Awaitable[_T]]:
    """Make a coroutine function retry."""

    @functools.wraps(call)
    async def with_retry(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        n_retries = 0
        while True:
            try:
                return await call(*args, **kwargs)
            except RunnerError as e:
                if n_retries >= _most_retries(e):
                    raise
                _log_retry(e)
                n_retries += 1

    return with_retry


def retry_stream(
    stream: Callable[_P, AsyncGenerator[_T, None]],
) -> Callable[_P, AsyncGenerator[_T, None]]:
    """Make an asynchronous generator function retry while it has yielded nothing."""

    @functools.wraps(stream)
    async def with_retry(*args: _P.args, **kwargs: _P.kwargs) -> AsyncGenerator[_T, None]:
        n_retries, has_begun = 0, False
        while True:
            try:
                async with aclosing(stream(*args, **kwargs)) as items:
                    async for item in items:
                        has_begun = True
                        yield item
                return
            except RunnerError as e:
                if has_begun or n_retries >= _most_retries(e):
                    raise
                _log_retry(e)
                n_retries += 1

    return with_retry


def _most_retries(error: RunnerError) -> int:
    if error.is_machine_lost:
        return _RETRIES_OF_LOST
    return _RETRIES if error.can_retry else 0


def _log_retry(error: RunnerError) -> None:
    _log.warning("trying a request again: %s", error)
