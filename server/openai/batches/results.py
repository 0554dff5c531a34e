"""Results of a batch: lines for its two files, committed in groups as the disk takes them."""

import asyncio
import logging
import secrets
from typing import Final, NamedTuple

import msgspec

from model_store.thread_calls import end_of
from server.concurrency.sqlite_file import FAILURES
from server.http.background_requests import BackgroundReply
from server.openai.batches.batch_store import BatchStore, InputLine, Results, StoredBatch
from server.openai.batches.wire import (
    BatchUsage,
    CachedTokens,
    LineError,
    LineResponse,
    LineResult,
    ReasoningTokens,
    RequestCounts,
)

_log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 10.0
_encode = msgspec.json.Encoder().encode


class Result(NamedTuple):
    """What is stored for a line; `data` is a line of an output file or an error file."""

    line: InputLine
    data: bytes
    is_error: bool
    usage: BatchUsage


def result_of(line: InputLine, custom_id: str, reply: BackgroundReply) -> Result:
    """Return the result of a request that was answered."""
    is_error = reply.status >= 400
    response = LineResponse(reply.status, reply.request_id, msgspec.Raw(reply.body))
    usage = BatchUsage() if is_error else _usage_of(reply.body)
    return Result(line, _line(custom_id, response=response), is_error, usage)


def failure_of(line: InputLine, custom_id: str, error: LineError) -> Result:
    """Return the result of a request that was not answered."""
    return Result(line, _line(custom_id, error=error), is_error=True, usage=BatchUsage())


def _line(
    custom_id: str, *, response: LineResponse | None = None, error: LineError | None = None
) -> bytes:
    id = f"batch_req_{secrets.token_hex(16)}"
    return _encode(LineResult(id, custom_id, response, error)) + b"\n"


class _TokenDetails(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    """The usage of all endpoints: each has one of two names for the same."""

    prompt_tokens: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens_details: _TokenDetails | None = None
    input_tokens_details: _TokenDetails | None = None
    completion_tokens_details: _TokenDetails | None = None
    output_tokens_details: _TokenDetails | None = None


class _Body(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Body).decode


def _usage_of(body: bytes) -> BatchUsage:
    try:
        usage = _decode(body).usage or _Usage()
    except msgspec.DecodeError:
        usage = _Usage()
    read = usage.prompt_tokens_details or usage.input_tokens_details or _TokenDetails()
    written = usage.completion_tokens_details or usage.output_tokens_details or _TokenDetails()
    n_input = usage.prompt_tokens or usage.input_tokens
    n_output = usage.completion_tokens or usage.output_tokens
    return BatchUsage(
        n_input,
        CachedTokens(read.cached_tokens or 0),
        n_output,
        ReasoningTokens(written.reasoning_tokens or 0),
        n_input + n_output,
    )


def _sum(first: BatchUsage, second: BatchUsage) -> BatchUsage:
    return BatchUsage(
        first.input_tokens + second.input_tokens,
        CachedTokens(
            first.input_tokens_details.cached_tokens + second.input_tokens_details.cached_tokens
        ),
        first.output_tokens + second.output_tokens,
        ReasoningTokens(
            first.output_tokens_details.reasoning_tokens
            + second.output_tokens_details.reasoning_tokens
        ),
        first.total_tokens + second.total_tokens,
    )


class ResultWriter:
    """Stores results of one batch, those together that come while others are written."""

    def __init__(self, batches: BatchStore, stored: StoredBatch) -> None:
        self._batches, self._stored = batches, stored
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, *results: Result) -> None:
        """Store results; returns when they are stored, however long the disk is full."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        *others, last = results
        self._waiting += [(result, asyncio.Future()) for result in others]
        self._waiting.append((last, written))
        if self._task is None:
            self._task = asyncio.create_task(self._write_all())
        await written

    async def close(self) -> None:
        """End; what is not stored by now is answered again later."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._store([result for result, _ in group])
            for _, written in group:
                if not written.done():
                    written.set_result(None)
        self._task = None

    async def _store(self, results: list[Result]) -> None:
        batch = self._stored.batch
        n_failed = sum(result.is_error for result in results)
        counts, usage = batch.request_counts, batch.usage
        batch.request_counts = RequestCounts(
            counts.total,
            counts.completed + len(results) - n_failed,
            counts.failed + n_failed,
        )
        for result in results:
            batch.usage = _sum(batch.usage, result.usage)
        stored = Results(
            [result.line for result in results],
            b"".join(result.data for result in results if not result.is_error),
            b"".join(result.data for result in results if result.is_error),
        )
        has_warned = False
        try:
            while not await self._try(stored, has_warned=has_warned):
                has_warned = True
                await asyncio.sleep(_RETRY_SECONDS)
        except asyncio.CancelledError:
            batch.request_counts, batch.usage = counts, usage
            raise

    async def _try(self, results: Results, *, has_warned: bool) -> bool:
        """Store results; return whether that succeeded."""
        work = asyncio.ensure_future(self._batches.add_results(self._stored, results))
        try:
            # A transaction that has begun is not given up: whether it succeeds has to be known.
            await end_of(work)
        except asyncio.CancelledError:
            if work.exception() is None:
                return True
            raise
        except FAILURES as e:
            if not has_warned:
                _log.warning("results of %s cannot be stored: %s", self._stored.batch.id, e)
            return False
        return True
