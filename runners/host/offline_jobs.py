"""Offline jobs on model files: quantize one, or load it once as a test, each in its own runner."""

import asyncio
import queue
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from runners.host.errors import LoadFailed, LoadTimeout, ModelUnusable
from runners.host.process import RunnerProcess
from runners.protocol.load_spec import LoadSpec
from runners.protocol.placement import DraftFile, Projector
from runners.protocol.quantization import Quantize
from runners.protocol.virtual_file import VirtualFile

_TICK = 0.5
"""Seconds after which the caller can cancel."""
_TEST_SIZE = 32
_LOAD_TIMEOUT = 300.0
"""Seconds without progress."""

TensorTypes = Sequence[tuple[str, int]]
Progress = tuple[int, int]
Report = Callable[[Progress], None]
Work = Callable[[RunnerProcess, Report], Awaitable[None]]
Task = asyncio.Task[None]


class OfflineJobs:
    """Runs jobs on the event loop `loop`; its methods are called from other threads.

    The iterators that they return yield at least twice a second; closing one cancels the job.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[], Awaitable[RunnerProcess]] = RunnerProcess.start,
    ) -> None:
        self._loop, self._start = loop, start

    def quantize(
        self,
        source: Path,
        target: Path,
        file_type: int,
        tensor_types: TensorTypes = (),
        imatrix: Path | None = None,
    ) -> Iterator[Progress]:
        """Quantize the model at `source` to `target`; yield the numbers of tensors done and of all.

        See `Quantize` for the other arguments.

        Raises:
            QuantizeFailed: the model cannot be quantized.
        """
        command = Quantize(
            source=str(source),
            target=str(target),
            file_type=file_type,
            tensor_types=tuple(tensor_types),
            imatrix=str(imatrix) if imatrix is not None else "",
        )

        async def quantize(runner: RunnerProcess, report: Report) -> None:
            await runner.quantize(command, lambda done, total: report((done, total)))

        return self._in_runner(quantize)

    def try_loading(
        self,
        weights: Path,
        adapters: tuple[Path, ...] = (),
        projector: Path | None = None,
        draft: Path | None = None,
        *,
        view: VirtualFile | None = None,
        projector_view: VirtualFile | None = None,
        draft_view: VirtualFile | None = None,
    ) -> Iterator[Progress]:
        """Load a model in a trial that reads no weights, so that it takes no time and memory.

        See `ModelRequest` for the views.

        Raises:
            ModelUnusable: it does not load.
        """
        spec = LoadSpec(
            weights=str(weights),
            view=view,
            adapters=tuple(map(str, adapters)),
            n_ctx=_TEST_SIZE,
            n_cells=_TEST_SIZE,
            n_seq=1,
            n_batch=_TEST_SIZE,
            projector=Projector(str(projector), view=projector_view) if projector else None,
            draft=DraftFile(str(draft), draft_view) if draft else None,
            no_weights=True,
        )

        async def load(runner: RunnerProcess, _report: Report) -> None:
            try:
                await runner.load(spec, stall_timeout=_LOAD_TIMEOUT)
            except (LoadFailed, LoadTimeout) as e:
                raise ModelUnusable(str(e)) from e

        return self._in_runner(load)

    def _in_runner(self, work: Work) -> Iterator[Progress]:
        events: queue.SimpleQueue[Progress | Task] = queue.SimpleQueue()
        tasks: list[Task] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(self._with_runner(work, events.put)))
            tasks[0].add_done_callback(events.put)

        def cancel() -> None:
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
                self._loop.call_soon_threadsafe(cancel)
                while isinstance(events.get(), tuple):
                    continue
        ended.result()

    async def _with_runner(self, work: Work, report: Report) -> None:
        runner = await self._start()
        try:
            await work(runner, report)
        finally:
            await runner.close()
