"""The client of one runner: generate, embed, tokenize and detokenize with its loaded model."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

import msgspec

from runners.host.connection import Connection
from runners.host.errors import RequestFailed, RunnerDied
from runners.host.event_queue import Answer
from runners.protocol.adapters import Adapters
from runners.protocol.messages import (
    Cancel,
    Chunk,
    Command,
    Done,
    Embed,
    Embedded,
    EmbedInput,
    Failed,
    FailureCode,
    Generate,
    Hold,
)
from runners.protocol.stats import Stats, StatsReport
from runners.protocol.tokens import (
    AnyText,
    Detokenize,
    ListSpecialTokens,
    SpecialTokens,
    Text,
    Tokenize,
    Tokens,
)

logger = logging.getLogger(__name__)

# Failures that are not the client's fault are logged for the operator.
_SERVER_FAULTS = (FailureCode.COMPUTE, FailureCode.OUT_OF_MEMORY, FailureCode.NAN_LOGITS)
_AnswerT = TypeVar("_AnswerT", Embedded, Tokens, Text, SpecialTokens, StatsReport)


class RunnerClient:
    """Requests to one runner; any number may run at once.

    Every method raises `RequestFailed` when the runner refuses the request, `RunnerDied` when the
    process exits before its answer is complete, and `ShuttingDown` when the server closed it.
    Cancelling a call, or closing the iterator of `generate`, cancels the request in the runner.
    """

    def __init__(self, connection: Connection, died: "asyncio.Future[RunnerDied]") -> None:
        self._connection = connection
        self._died = died
        self._special_tokens: SpecialTokens | None = None
        self.owners: dict[int, object] = {}
        """For whom each running generation is, by the id of its request."""

    @property
    def died(self) -> "asyncio.Future[RunnerDied]":
        """Done when the process has exited; its result says how."""
        return self._died

    async def generate(
        self, request: Generate, owner: object = None
    ) -> AsyncGenerator[Chunk | Done, None]:
        """Yield chunks as they arrive, then exactly one `Done`; `request.id` is replaced.

        A consumer that is slower than the runner gets several chunks merged into one. `owner` is
        listed in `owners` meanwhile.
        """
        request_id, events = self._connection.open_request()
        finished = False
        self.owners[request_id] = owner
        try:
            self._connection.send(msgspec.structs.replace(request, id=request_id))
            while not finished:
                event = _raise_failure(await events.get())
                finished = type(event) is Done
                assert isinstance(event, Chunk | Done)
                yield event
        except RequestFailed:
            finished = True
            raise
        finally:
            del self.owners[request_id]
            self._end(request_id, finished=finished)

    async def embed(
        self,
        texts: Sequence[EmbedInput],
        *,
        query: str | None = None,
        n_ctx: int | None = None,
        truncate: bool = True,
        adapters: Adapters | None = None,
        is_background: bool = False,
        owner: str = "",
    ) -> Embedded:
        """Return one vector per text, not normalised; see `Embed` for the parameters."""
        return await self._call(
            lambda id: Embed(
                id=id,
                texts=tuple(texts),
                query=query,
                n_ctx=n_ctx,
                truncate=truncate,
                adapters=adapters,
                is_background=is_background,
                owner=owner,
            ),
            Embedded,
        )

    def hold(self, *, is_held: bool) -> None:
        """Stop computing background requests, or go on with them."""
        self._connection.send(Hold(is_held))

    async def tokenize(self, text: AnyText, *, add_special: bool = False) -> tuple[int, ...]:
        """Return the token ids of `text`, special texts parsed where it says so."""
        answer = await self._call(
            lambda id: Tokenize(id=id, text=text, add_special=add_special), Tokens
        )
        return answer.tokens

    async def detokenize(self, tokens: Sequence[int]) -> Text:
        """Return the text of `tokens`, special tokens rendered, and where these are."""
        return await self._call(lambda id: Detokenize(id=id, tokens=tuple(tokens)), Text)

    async def special_tokens(self) -> SpecialTokens:
        """Return the texts of the vocabulary's special tokens; the runner is asked once."""
        if self._special_tokens is None:
            self._special_tokens = await self._call(ListSpecialTokens, SpecialTokens)
        return self._special_tokens

    async def stats(self) -> StatsReport:
        """Return the runner's counters since the model was loaded."""
        return await self._call(Stats, StatsReport)

    async def _call(
        self, make_command: Callable[[int], Command], answer_type: type[_AnswerT]
    ) -> _AnswerT:
        request_id, events = self._connection.open_request()
        finished = False
        try:
            self._connection.send(make_command(request_id))
            answer = _raise_failure(await events.get())
            finished = True
            assert isinstance(answer, answer_type)
            return answer
        except RequestFailed:
            finished = True
            raise
        finally:
            self._end(request_id, finished=finished)

    def _end(self, request_id: int, *, finished: bool) -> None:
        self._connection.close_request(request_id)
        if not finished:
            self._connection.send(Cancel(request_id))


def _raise_failure(answer: Answer) -> Answer:
    """Return `answer`; raise RequestFailed if it is a `Failed`."""
    if type(answer) is Failed:
        if answer.code in _SERVER_FAULTS:
            logger.warning("a request failed: %s", answer.message)
        raise RequestFailed(answer.code, answer.message, answer.n_tokens, answer.n_ctx)
    return answer
