"""Work on one batch: check its input, answer its requests, and turn the results into files."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

import msgspec

from server.concurrency.threads import in_thread
from server.http.background_requests import BackgroundReply
from server.openai.batches.batch_store import FIRST, BatchStore, InputLine, StoredBatch
from server.openai.batches.file_store import FileStore
from server.openai.batches.input_file import BatchRequest, InputReader, request_of
from server.openai.batches.results import ResultWriter, failure_of, result_of
from server.openai.batches.wire import (
    CANCELLED,
    COMPLETED,
    EXPIRED,
    FAILED,
    IN_PROGRESS,
    VALIDATING,
    BatchError,
    BatchErrors,
    LineError,
    RequestCounts,
)

_log = logging.getLogger(__name__)

Send = Callable[[str, bytes, str], Awaitable[BackgroundReply]]
"""Sends a body to a path of this server on behalf of an owner, while nobody else needs it."""

CONCURRENCY: Final = 32
"""Requests of a batch that are sent at once; a runner computes as many as it has slots."""
_MAX_ERRORS: Final = 100
_PAGE: Final = 1000
_BUSY: Final = (429, 503)
_ATTEMPTS_ALONE: Final = 2
"""How often a request is sent alone that failed beside others: perhaps one of them was at fault."""
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_FULL_SECONDS: Final = 10.0
_EXPIRED: Final = LineError(
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)

_INPUT_LOST: Final = BatchErrors(
    [BatchError("input_file_lost", "The input file cannot be read any more.")]
)


class BatchWorker:
    """Works on a batch until it has ended; what was stored survives when it does not."""

    def __init__(
        self,
        stored: StoredBatch,
        batches: BatchStore,
        files: FileStore,
        send: Send,
        *,
        now: Callable[[], float],
    ) -> None:
        self._stored, self._batches, self._files = stored, batches, files
        self._send, self._now = send, now
        self._cancelled = asyncio.Event()
        if stored.is_cancelled:
            self._cancelled.set()

        self._batch = stored.batch
        self._places = asyncio.Semaphore(CONCURRENCY)
        self._suspects: list[InputLine] = []

    def cancel(self) -> None:
        """End the work; the results so far become files."""
        self._cancelled.set()

    async def run(self) -> None:
        """Work until the batch has ended; raises `FAILURES` where it has to be tried again."""
        work = asyncio.create_task(self._work())
        cancelled = asyncio.create_task(self._cancelled.wait())
        is_done = is_expired = False
        try:
            await asyncio.wait(
                {work, cancelled},
                timeout=max(0.0, self._batch.expires_at - self._now()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            is_done, is_expired = work.done(), not cancelled.done()
        finally:
            for task in (work, cancelled):
                task.cancel()
            await asyncio.gather(work, cancelled, return_exceptions=True)
        if is_done:
            await self._end(work.result())
        elif is_expired:
            await self._end(await self._expire())
        else:
            await self._end(CANCELLED)

    async def _work(self) -> str:
        """Check the input, unless that was done, and answer the requests; return the new status."""
        if self._batch.status == VALIDATING:
            errors = await self._validate()
            if errors:
                self._batch.errors = BatchErrors(errors)
                return FAILED
        writer, status = ResultWriter(self._batches, self._stored), COMPLETED
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._answer(tasks, writer)
        except* _InputLost:
            self._batch.errors, status = _INPUT_LOST, FAILED
        finally:
            await writer.close()
        return status

    # The input.

    async def _validate(self) -> list[BatchError]:
        """Read the input, and store where each request is; return what is wrong with it."""
        batch = self._batch
        await self._batches.clear_lines(batch)
        reader = InputReader(self._files.path(batch.input_file_id), batch.endpoint)
        entries = iter(reader)
        errors: list[BatchError] = []
        n_lines = 0
        try:
            while page := await in_thread(list, islice(entries, _PAGE)):
                lines = [entry for entry in page if isinstance(entry, InputLine)]
                errors += [entry for entry in page if isinstance(entry, BatchError)]
                n_lines += len(lines)
                if len(errors) >= _MAX_ERRORS:
                    break
                if not errors:
                    await self._batches.add_lines(batch, lines)
        except FileNotFoundError:
            return _INPUT_LOST.data
        if errors:
            return errors[:_MAX_ERRORS]
        batch.model = next(iter(reader.models)) if len(reader.models) == 1 else None
        batch.request_counts = RequestCounts(total=n_lines)
        batch.status, batch.in_progress_at = IN_PROGRESS, int(self._now())
        await self._batches.put(batch)
        return []

    def _read(self, line: InputLine) -> BatchRequest:
        try:
            with self._files.path(self._batch.input_file_id).open("rb") as file:
                file.seek(line.start)
                return request_of(file.read(line.length))
        except (OSError, msgspec.DecodeError) as e:
            raise _InputLost from e

    # The answers.

    async def _answer(self, tasks: asyncio.TaskGroup, writer: ResultWriter) -> None:
        """Answer all lines that have no result, so many at once; those that failed again, alone."""
        last = FIRST
        while lines := await self._batches.lines(self._batch, last, _PAGE):
            await self._files.n_bytes()
            for line in lines:
                await self._places.acquire()
                await self._wait_for_room()
                tasks.create_task(self._answer_line(line, writer))
            last = lines[-1]
        for _ in range(CONCURRENCY):
            await self._places.acquire()
        for line in self._suspects:
            await self._answer_alone(line, writer)

    async def _wait_for_room(self) -> None:
        """Wait while the files are as large together as the setting allows."""
        if self._files.has_room:
            return
        _log.warning(
            "%s waits until files are deleted, or PADDOCK_KEEP_FILES allows more", self._batch.id
        )
        while not self._files.has_room:
            await asyncio.sleep(_FULL_SECONDS)
            await self._files.n_bytes()

    async def _answer_line(self, line: InputLine, writer: ResultWriter) -> None:
        try:
            request = await in_thread(self._read, line)
            reply = await self._reply(request)
            if reply.status >= 500:
                # A request that kills its runner fails those beside it.
                self._suspects.append(line)
            else:
                await writer.write(result_of(line, request.custom_id, reply))
        finally:
            self._places.release()

    async def _answer_alone(self, line: InputLine, writer: ResultWriter) -> None:
        request = await in_thread(self._read, line)
        reply = await self._reply(request)
        for _ in range(_ATTEMPTS_ALONE - 1):
            if reply.status >= 500:
                reply = await self._reply(request)
        await writer.write(result_of(line, request.custom_id, reply))

    async def _reply(self, request: BatchRequest) -> BackgroundReply:
        """Return the reply to a request; one that the server has no place for is sent again."""
        pause = _FIRST_PAUSE
        while True:
            reply = await self._send(request.url, request.body, self._stored.owner)
            if reply.status not in _BUSY:
                return reply
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # The end.

    async def _expire(self) -> str:
        """Give the requests without an answer a result that says so; return the new status."""
        writer = ResultWriter(self._batches, self._stored)
        if self._batch.status == VALIDATING:
            await self._batches.clear_lines(self._batch)
        while lines := await self._batches.lines(self._batch, FIRST, _PAGE):
            try:
                requests = await in_thread(self._read_all, lines)
            except _InputLost:
                self._batch.errors = _INPUT_LOST
                return FAILED
            await writer.write(
                *(
                    failure_of(line, request.custom_id, _EXPIRED)
                    for line, request in zip(lines, requests, strict=True)
                )
            )
        return EXPIRED

    def _read_all(self, lines: Sequence[InputLine]) -> list[BatchRequest]:
        return [self._read(line) for line in lines]

    async def _end(self, status: str) -> None:
        batch, now = self._batch, int(self._now())
        batch.status = status
        batch.finalizing_at = now if status in (COMPLETED, EXPIRED) else None
        setattr(batch, f"{status}_at", now)
        if status == CANCELLED:
            batch.cancelling_at = batch.cancelling_at or now
        await self._batches.end(self._stored)
        counts = batch.request_counts
        _log.info(
            "%s %s: %d of %d requests succeeded", batch.id, status, counts.completed, counts.total
        )


class _InputLost(Exception):
    """The input file cannot be read any more."""
