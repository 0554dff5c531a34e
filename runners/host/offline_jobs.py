"""What is done to model files, in worker threads, each time in a runner that is gone afterwards."""

import asyncio
import queue
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from runners.host.errors import LoadFailed, ModelUnusable, RunnerDied
from runners.host.process import FOREVER, RunnerProcess
from runners.protocol.messages import LoadSpec
from runners.protocol.quantization import Quantize

_TICK = 0.5
"""Seconds after which the caller gets to decide whether to go on."""
_TRIAL_SIZE = 32

Kept = Sequence[tuple[str, int]]
Progress = tuple[int, int]
Tell = Callable[[Progress], None]
Work = Callable[[RunnerProcess, Tell], Awaitable[None]]
Task = asyncio.Task[None]


class OfflineJobs:
    """Made on the event loop `loop`; its methods are for other threads.

    What they return yields at least twice a second, whatever happens; closing it ends the work.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[], Awaitable[RunnerProcess]] = RunnerProcess.start,
    ) -> None:
        self._loop, self._start = loop, start

    def quantize(
        self, source: Path, target: Path, file_type: int, kept: Kept = ()
    ) -> Iterator[Progress]:
        """Write the model at `source` to `target`; yield the tensors done, and all of them.

        See `Quantize` for `file_type` and `kept`.

        Raises:
            QuantizeFailed: it cannot be done.
        """
        wanted = Quantize(
            source=str(source), target=str(target), file_type=file_type, kept=tuple(kept)
        )
        return self._in_runner(
            lambda runner, tell: runner.quantize(wanted, lambda done, total: tell((done, total)))
        )

    def try_loading(self, weights: Path, adapters: tuple[Path, ...] = ()) -> Iterator[Progress]:
        """Load a model once, with nothing but what every use of it needs.

        Raises:
            ModelUnusable: it cannot be loaded.
        """
        spec = LoadSpec(
            weights=str(weights),
            adapters=tuple(map(str, adapters)),
            n_ctx=_TRIAL_SIZE,
            n_cells=_TRIAL_SIZE,
            n_seq=1,
            n_batch=_TRIAL_SIZE,
        )

        async def load(runner: RunnerProcess, _tell: Tell) -> None:
            try:
                await runner.load(spec, stall_timeout=FOREVER)
            except (LoadFailed, RunnerDied) as e:
                raise ModelUnusable(f"the converted files are of no use: {e}") from e

        return self._in_runner(load)

    def _in_runner(self, work: Work) -> Iterator[Progress]:
        events: queue.SimpleQueue[Progress | Task] = queue.SimpleQueue()
        tasks: list[Task] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(self._with_runner(work, events.put)))
            tasks[0].add_done_callback(events.put)

        def give_up() -> None:
            tasks[0].cancel()

        self._loop.call_soon_threadsafe(begin)
        ended: Task | None = None
        progress = 0, 0
        try:
            while ended is None:
                yield progress
                try:
                    event = events.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if isinstance(event, tuple):
                    progress = event
                else:
                    ended = event
        finally:
            if ended is None:
                self._loop.call_soon_threadsafe(give_up)
                while isinstance(events.get(), tuple):
                    continue
        ended.result()

    async def _with_runner(self, work: Work, tell: Tell) -> None:
        runner = await self._start()
        try:
            await work(runner, tell)
        finally:
            await runner.close()
