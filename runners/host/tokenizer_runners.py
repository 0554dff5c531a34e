"""Runners that only tokenize: they have loaded the vocabulary of a model, without its weights.

They take little memory, so the scheduler neither counts nor evicts them. A runner is kept for
`IDLE_SECONDS` after its last use.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runners.host.client import RunnerClient
from runners.host.clock import Clock, Timer
from runners.host.errors import LoadFailed, RunnerDied, RunnerError, ShuttingDown
from runners.host.machine import Machine, Runner
from runners.protocol.load_spec import LoadSpec
from runners.protocol.virtual_file import VirtualFile

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
MAX_IDLE = 2
_MIN_TIMER = 1.0


@dataclass(eq=False, slots=True)
class _Entry:
    """One runner, from the start of its load; the load returns errors, as several may await it."""

    weights: Path
    loading: "asyncio.Task[Runner | RunnerError]"
    last_used: float
    users: int = 0


class TokenizerRunners:
    """Starts and ends the runners; the task group `tasks` has to outlive them."""

    def __init__(
        self, machine: Machine, clock: Clock, tasks: asyncio.TaskGroup, *, load_timeout: float
    ) -> None:
        self._machine, self._clock, self._tasks = machine, clock, tasks
        self._load_timeout = load_timeout
        self._entries: dict[Path, _Entry] = {}
        self._timer: Timer | None = None
        self._closing = False

    @asynccontextmanager
    async def use(
        self, weights: Path, view: VirtualFile | None = None
    ) -> AsyncGenerator[RunnerClient, None]:
        """Lend a runner that has the vocabulary of `weights`; see `LoadSpec` for `view`.

        Raises:
            LoadFailed, LoadTimeout: the vocabulary cannot be loaded.
            ShuttingDown: the server is shutting down.
        """
        if self._closing:
            raise ShuttingDown
        entry = self._entries.get(weights) or self._begin(weights, view)
        entry.users += 1
        try:
            yield (await _loaded(entry)).client
        finally:
            entry.users -= 1
            entry.last_used = self._clock.now()
            self._trim()

    async def close(self) -> None:
        """End all runners; their pending requests fail with `ShuttingDown`."""
        self._closing = True
        entries = list(self._entries.values())
        self._entries.clear()
        self._trim()
        for entry in entries:
            entry.loading.cancel()
        await asyncio.gather(*map(_end, entries))

    def _begin(self, weights: Path, view: VirtualFile | None) -> _Entry:
        loading = self._tasks.create_task(self._load(weights, view))
        entry = _Entry(weights, loading, last_used=self._clock.now())
        self._entries[weights] = entry
        entry.loading.add_done_callback(lambda _: self._load_ended(entry))
        return entry

    async def _load(self, weights: Path, view: VirtualFile | None) -> Runner | RunnerError:
        try:
            runner = await self._machine.start_runner()
        except RunnerDied as e:
            return LoadFailed.by_death(e)
        except RunnerError as e:
            return e
        spec = LoadSpec(
            weights=str(weights),
            view=view,
            n_ctx=0,
            n_cells=0,
            n_seq=0,
            n_batch=0,
            vocab_only=True,
        )
        try:
            await runner.load(spec, stall_timeout=self._load_timeout)
        except RunnerError as e:
            await runner.close()
            return e
        except Exception:
            await runner.close()
            logger.exception("cannot load the vocabulary of %s", weights.name)
            return LoadFailed("the vocabulary could not be loaded because of an internal error")
        except asyncio.CancelledError:
            await runner.close()
            raise
        return runner

    def _load_ended(self, entry: _Entry) -> None:
        self._machine.load_ended()
        outcome = None if entry.loading.cancelled() else entry.loading.result()
        if outcome is None or isinstance(outcome, RunnerError):
            self._forget(entry)
        else:
            outcome.lost.add_done_callback(lambda _: self._forget(entry))

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.weights) is entry:
            del self._entries[entry.weights]

    def _trim(self) -> None:
        """End runners that are idle for too long or too many, and set the timer for the next."""
        now = self._clock.now()
        idle = [each for each in self._entries.values() if each.users == 0]
        idle.sort(key=lambda entry: entry.last_used, reverse=True)
        for rank, entry in enumerate(idle):
            if rank >= MAX_IDLE or entry.last_used + IDLE_SECONDS <= now:
                self._forget(entry)
                self._tasks.create_task(_end(entry))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            due = min(entry.last_used for entry in self._entries.values()) + IDLE_SECONDS
            self._timer = self._clock.call_later(max(due - now, _MIN_TIMER), self._trim)


async def _loaded(entry: _Entry) -> Runner:
    await asyncio.wait([entry.loading])
    if entry.loading.cancelled():
        raise ShuttingDown
    outcome = entry.loading.result()
    if isinstance(outcome, RunnerError):
        raise outcome
    return outcome


async def _end(entry: _Entry) -> None:
    await asyncio.wait([entry.loading])
    if not entry.loading.cancelled() and not isinstance(
        outcome := entry.loading.result(), RunnerError
    ):
        await outcome.close()
