"""What the server can ask of a runner whose model is loaded."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

import msgspec

from runners.host.connection import Connection
from runners.host.errors import RequestFailed, RunnerDied
from runners.host.event_queue import Answer, EventQueue
from runners.protocol.messages import (
    Cancel,
    Chunk,
    Command,
    Detokenize,
    Done,
    Embed,
    Embedded,
    EmbedInput,
    Failed,
    FailureCode,
    Generate,
    Stats,
    StatsReport,
    Text,
    Tokenize,
    Tokens,
)

logger = logging.getLogger(__name__)

# Failures that no request is to blame for: whoever runs the server should know of them.
_FAULTS = (FailureCode.COMPUTE, FailureCode.OUT_OF_MEMORY)
_AnswerT = TypeVar("_AnswerT", Embedded, Tokens, Text, StatsReport)


class RunnerClient:
    """Requests to one runner; many may be under way at once.

    Every method raises `RequestFailed` when the runner refuses the request, `RunnerDied` when the
    process ends before its answer is complete, and `ShuttingDown` when the server closed it.
    Cancelling a call, or closing the iterator of `generate`, tells the runner to stop.
    """

    def __init__(self, connection: Connection, died: "asyncio.Future[RunnerDied]") -> None:
        self._connection = connection
        self._died = died

    @property
    def died(self) -> "asyncio.Future[RunnerDied]":
        """Done when the process has ended; its result says how."""
        return self._died

    async def generate(self, request: Generate) -> AsyncGenerator[Chunk | Done, None]:
        """Yield chunks as they come, then exactly one `Done`; `request.id` is replaced.

        A consumer that is slower than the runner gets several chunks joined as one.
        """
        request_id, mailbox = self._connection.open_mailbox()
        finished = False
        try:
            self._connection.send(msgspec.structs.replace(request, id=request_id))
            while not finished:
                event = _checked(await mailbox.take())
                finished = type(event) is Done
                assert isinstance(event, Chunk | Done)
                yield event
        except RequestFailed:
            finished = True
            raise
        finally:
            self._end(request_id, finished=finished)

    async def embed(
        self, texts: Sequence[EmbedInput], *, query: str | None = None, truncate: bool = True
    ) -> Embedded:
        """Return one vector per text, not normalised; see `Embed` for pairs with a `query`."""
        return await self._ask(
            lambda id: Embed(id=id, texts=tuple(texts), query=query, truncate=truncate), Embedded
        )

    async def tokenize(self, text: str, *, add_special: bool = False) -> tuple[int, ...]:
        """Return the token ids of `text`, special texts parsed."""
        answer = await self._ask(
            lambda id: Tokenize(id=id, text=text, add_special=add_special), Tokens
        )
        return answer.tokens

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`, special tokens rendered."""
        answer = await self._ask(lambda id: Detokenize(id=id, tokens=tuple(tokens)), Text)
        return answer.text

    async def stats(self) -> StatsReport:
        """Return the runner's counters since the model was loaded."""
        return await self._ask(Stats, StatsReport)

    async def _ask(
        self, make_command: Callable[[int], Command], answer_type: type[_AnswerT]
    ) -> _AnswerT:
        request_id, mailbox = self._connection.open_mailbox()
        finished = False
        try:
            self._connection.send(make_command(request_id))
            answer = await self._answer(mailbox)
            finished = True
            assert isinstance(answer, answer_type)
            return answer
        except RequestFailed:
            finished = True
            raise
        finally:
            self._end(request_id, finished=finished)

    async def _answer(self, mailbox: EventQueue) -> Answer:
        return _checked(await mailbox.take())

    def _end(self, request_id: int, *, finished: bool) -> None:
        self._connection.close_mailbox(request_id)
        if not finished:
            self._connection.send(Cancel(request_id))


def _checked(answer: Answer) -> Answer:
    """Return `answer` unless it says that the request failed."""
    if type(answer) is Failed:
        if answer.code in _FAULTS:
            logger.warning("a request failed: %s", answer.message)
        raise RequestFailed(answer.code, answer.message, answer.n_tokens, answer.n_ctx)
    return answer
