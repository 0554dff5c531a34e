"""Quantisation as the making of a model wants it: called in a worker thread, step by step."""

import asyncio
import queue
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from runners.host.process import RunnerProcess
from runners.protocol.messages import Quantize

_TICK = 0.5
"""Seconds after which the caller gets to decide whether to go on."""

Progress = tuple[int, int]
Task = asyncio.Task[None]


class Quantizer:
    """Quantises models, each in a runner of its own that is gone afterwards.

    Made on the event loop `loop`; its calls come from other threads.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[], Awaitable[RunnerProcess]] = RunnerProcess.start,
    ) -> None:
        self._loop, self._start = loop, start

    def __call__(self, source: Path, target: Path, file_type: int) -> Iterator[Progress]:
        """Write the model at `source` to `target`; yield the tensors done, and all of them.

        Something is yielded at least twice a second. Closing the generator ends the work.

        Raises:
            QuantizeFailed: it cannot be done.
        """
        wanted = Quantize(source=str(source), target=str(target), file_type=file_type)
        events: queue.SimpleQueue[Progress | Task] = queue.SimpleQueue()
        tasks: list[Task] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(self._quantize(wanted, events.put)))
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

    async def _quantize(self, wanted: Quantize, tell: Callable[[Progress], None]) -> None:
        runner = await self._start()
        try:
            await runner.quantize(wanted, lambda done, total: tell((done, total)))
        finally:
            await runner.close()
