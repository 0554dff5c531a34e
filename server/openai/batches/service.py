"""Create, find and cancel batches, and work on them while nobody else needs the server."""

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import Final

from server.concurrency.sqlite_file import FAILURES
from server.concurrency.threads import in_thread
from server.errors import InvalidParameter, ServerBusy
from server.openai.batches.batch_store import BatchMissing, BatchStore, StoredBatch
from server.openai.batches.file_store import FileMissing, FileStore, PageQuery
from server.openai.batches.folder import Folder
from server.openai.batches.schemas import MAX_KEEP, NewBatch
from server.openai.batches.wire import ENDED, Batch, Page
from server.openai.batches.worker import BatchWorker, Send

_log = logging.getLogger(__name__)

_PURPOSE: Final = "batch"
_MAX_OPEN: Final = 1000
_MAX_WORKERS: Final = 4
"""Batches that are worked on at once: one whose model finds no room must not stop the others."""
_START_DELAY: Final = 1.0
_ROUND_SECONDS: Final = 10.0
"""How often it looks for batches and cancellations of other servers that share the folder."""
_TIDY_SECONDS: Final = 600.0


class BatchService:
    """The batches in `folder`, whose requests `connect` tells how to send."""

    def __init__(self, folder: Folder, files: FileStore) -> None:
        self._folder, self._files = folder, files
        self._batches = BatchStore(folder)
        self._send: Send | None = None
        self._rounds: asyncio.Task[None] | None = None
        self._start: asyncio.TimerHandle | None = None
        self._is_due = asyncio.Event()
        self._workers: dict[str, tuple[BatchWorker, asyncio.Task[None]]] = {}
        self._tidied = float("-inf")
        self._is_closing = False

    def connect(self, send: Send) -> None:
        """Send requests by `send`, and go on with the batches of an earlier server soon."""
        self._send = send
        if self._folder.exists:
            self._start = asyncio.get_running_loop().call_later(_START_DELAY, self.wake)

    def wake(self) -> None:
        """Look for work now; from then on that is done again and again."""
        if self._rounds is None and self._send is not None and not self._is_closing:
            self._rounds = asyncio.create_task(self._work(self._send))
        self._is_due.set()

    async def stop(self) -> None:
        """End the work; another server or the next one goes on with it."""
        self._is_closing = True
        if self._start is not None:
            self._start.cancel()
        tasks = [task for _, task in self._workers.values()]
        tasks += [self._rounds] if self._rounds is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # The API.

    async def create(self, request: NewBatch, owner: str) -> Batch:
        """Create a batch.

        Raises:
            InvalidParameter: its input file does not exist or is for something else.
            ServerBusy: there are too many.
        """
        try:
            file = await self._files.get(request.input_file_id, owner)
        except FileMissing:
            raise InvalidParameter(
                f"No such File object: {request.input_file_id}", "input_file_id"
            ) from None
        if file.purpose != _PURPOSE:
            raise InvalidParameter(
                f"The purpose of the input file must be batch, not {file.purpose}.",
                "input_file_id",
            )
        if await self._batches.n_open() >= _MAX_OPEN:
            raise ServerBusy("too many batches have not ended; cancel some, or try again later")
        now, keep = int(self._folder.now()), request.output_expires_after
        batch = Batch(
            id=f"batch_{secrets.token_hex(16)}",
            endpoint=request.endpoint,
            input_file_id=file.id,
            completion_window=request.completion_window,
            created_at=now,
            expires_at=now + request.window_seconds,
            metadata=request.metadata,
        )
        seconds = keep.seconds if keep is not None else MAX_KEEP
        stored = StoredBatch(owner, batch, new_file_id(), new_file_id(), seconds)
        await self._batches.add(stored)
        self.wake()
        return batch

    async def get(self, id: str, owner: str) -> Batch:
        """Return a batch; raises InvalidParameter."""
        try:
            return await self._batches.get(id, owner)
        except BatchMissing:
            raise _no_batch(id) from None

    async def page(self, owner: str, query: PageQuery) -> Page[Batch]:
        """Return a page of the batches; raises InvalidParameter."""
        try:
            return await self._batches.page(owner, query)
        except BatchMissing:
            raise _no_batch(str(query.after)) from None

    async def cancel(self, id: str, owner: str) -> Batch:
        """Cancel a batch, and return it; raises InvalidParameter when it has ended."""
        try:
            batch = await self._batches.cancel(id, owner)
        except BatchMissing:
            raise _no_batch(id) from None
        if batch.status in ENDED:
            raise InvalidParameter(
                f"Cannot cancel a batch with status '{batch.status}'.", status=409
            )
        self.wake()
        return batch

    # The work.

    async def _work(self, send: Send) -> None:
        """Again and again, tidy up and start workers, as far as this server is the one to do so."""
        has_warned = False
        while True:
            self._is_due.clear()
            try:
                if await in_thread(self._folder.lock):
                    await self._tidy()
                    await self._start_workers(send)
                has_warned = False
            except FAILURES as e:
                if not has_warned:
                    _log.warning("batches are not worked on: %s", e)
                has_warned = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_SECONDS):
                    await self._is_due.wait()

    async def _tidy(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._tidied >= _TIDY_SECONDS:
            self._tidied = now
            await self._files.tidy()
            await self._batches.tidy()

    async def _start_workers(self, send: Send) -> None:
        for stored in await self._batches.open():
            worker, _ = self._workers.get(stored.batch.id, (None, None))
            if worker is None and (len(self._workers) < _MAX_WORKERS or stored.is_cancelled):
                worker = self._start_worker(stored, send)
            if worker is not None and stored.is_cancelled:
                worker.cancel()

    def _start_worker(self, stored: StoredBatch, send: Send) -> BatchWorker:
        worker = BatchWorker(stored, self._batches, self._files, send, now=self._folder.now)
        task = asyncio.create_task(worker.run())
        self._workers[stored.batch.id] = worker, task
        task.add_done_callback(lambda task: self._ended(stored.batch.id, task))
        return worker

    def _ended(self, id: str, task: "asyncio.Task[None]") -> None:
        del self._workers[id]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._is_due.set()
        elif isinstance(error, FAILURES):
            _log.warning("%s is tried again: %s", id, error)
        else:
            _log.error("%s is tried again", id, exc_info=error)


def new_file_id() -> str:
    """Return an id for a file."""
    return f"file-{secrets.token_hex(16)}"


def _no_batch(id: str) -> InvalidParameter:
    return InvalidParameter(f"No batch found with id '{id}'.", status=404)
