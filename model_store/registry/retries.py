"""Retries with exponential backoff: one counter for all requests of a manifest, blob or upload."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from model_store.registry.errors import (
    RegistryBusy,
    RegistryError,
    RegistryUnreachable,
    TransferFailed,
)

_T = TypeVar("_T")


class Sleep(Protocol):
    """Lets time pass."""

    async def __call__(self, delay: float, /) -> object: ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is tried, and how long to wait in between; times in seconds.

    Delays double from one try to the next. A `Retry-After` of the registry is obeyed, unless it is
    longer than `longest_delay`: then there is no further try. A blob is given up, whatever its
    connections do, when nothing of it has arrived for `stall_seconds`.
    """

    tries: int = 6
    first_delay: float = 1.0
    longest_delay: float = 60.0
    stall_seconds: float = 180.0
    sleep: Sleep = asyncio.sleep

    def delay(self, failures: int, error: RegistryError) -> float | None:
        """Return the seconds to wait after so many failures in a row; None: give up."""
        retry_after = error.retry_after if isinstance(error, RegistryBusy) else None
        if failures >= self.tries or (retry_after or 0.0) > self.longest_delay:
            return None
        return min(max(self.first_delay * 2.0 ** (failures - 1), retry_after or 0.0),
                   self.longest_delay)  # fmt: skip


@dataclass(slots=True, eq=False)
class Turn:
    """One try of one connection; `round` is how many rounds had failed when it began."""

    round: int
    has_progress: bool = False


class Retries:
    """The failures in a row of one piece of work, which several connections may share.

    A round fails when a try brings nothing while no other connection brings anything either: tries
    that fail together count once. After a failed round, one connection at a time tries, until
    something arrives.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._rounds = 0
        self._probe: Turn | None = None
        self._changed = asyncio.Event()
        self._progress_at = asyncio.get_running_loop().time()
        self._last_error: RegistryError | None = None
        self._end: TransferFailed | None = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait until the caller may try; the block is its try, and the wait after a failure.

        Raises:
            TransferFailed: another connection has given up.
        """
        while self._rounds and self._probe is not None:
            await self._changed.wait()
        if self._end is not None:
            raise self._end
        turn = Turn(self._rounds)
        if self._rounds:
            self._probe = turn
        try:
            yield turn
        finally:
            if self._probe is turn:
                self._probe = None
            self._notify()

    def progress(self, turn: Turn) -> None:
        """Note that something has arrived."""
        turn.has_progress = True
        self._last_error = None
        self._progress_at = asyncio.get_running_loop().time()
        if self._rounds:
            self._rounds = 0
            self._notify()

    async def failed(self, turn: Turn, error: RegistryError, *, failures: int = 1) -> None:
        """Count a failed try and wait until the next one may begin.

        `failures` is how often in a row the caller has failed at the same thing, while other
        connections may have had success.

        Raises:
            TransferFailed: there is no further try.
        """
        self._last_error = error
        if turn.round == self._rounds:
            self._rounds += 1
        delay = self._policy.delay(max(self._rounds, failures), error)
        if delay is None:
            self._end = TransferFailed(error)
            raise self._end from error
        await self._policy.sleep(delay)

    async def watch(self, host: str) -> None:
        """Wait until nothing has arrived from `host` for too long; raises TransferFailed then."""
        loop = asyncio.get_running_loop()
        # The deadline moves with the progress: an event would be set far more often.
        while (rest := self._progress_at + self._policy.stall_seconds - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(rest)
        seconds = f"{self._policy.stall_seconds:.0f} seconds"
        raise TransferFailed(
            self._last_error or RegistryUnreachable(host, f"no data arrived for {seconds}")
        )

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def with_retries(
    action: Callable[[], Awaitable[_T]],
    policy: RetryPolicy,
    *,
    is_transient: Callable[[RegistryError], bool] = lambda error: error.is_transient,
    before_retry: Callable[[], Awaitable[object]] | None = None,
) -> _T:
    """Return what `action` returns, called until it does not fail with a transient error.

    Raises:
        TransferFailed: it failed too often.
        RegistryError: another try would not help.
    """
    failures = 0
    while True:
        try:
            return await action()
        except RegistryError as e:
            if not is_transient(e):
                raise
            failures += 1
            delay = policy.delay(failures, e)
            if delay is None:
                raise TransferFailed(e) from e
        await policy.sleep(delay)
        if before_retry is not None:
            await before_retry()
