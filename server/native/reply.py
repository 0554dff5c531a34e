"""Convert the events of answers to objects of the native API."""

from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import TypedDict

from runners.protocol.logprobs import TokenAlternative, TokenLogprob
from server.http.streaming import Events as Replies
from server.http.streaming import Single
from server.inference.conversation import (
    CompletedCall,
    Delta,
    Events,
    Finish,
    LoadOutcome,
    Rendered,
)
from server.inference.embed import Embedding
from server.native.wire import (
    Alternative,
    CalledFunction,
    ChatResponse,
    EmbeddingsResponse,
    EmbedResponse,
    GenerateResponse,
    Logprob,
    Progress,
    ReplyCall,
    ReplyMessage,
)
from server.schemas.wire import DebugInfo
from server.text.timestamps import utc_now

EmptyPiece = Callable[[Progress | None], ChatResponse | GenerateResponse]
"""Makes a piece of an answer without text, with the progress where it is told."""


def empty_chat_piece(model: str, progress: Progress | None) -> ChatResponse:
    """Return a piece of a chat without text."""
    return ChatResponse(
        model=model,
        created_at=utc_now(),
        message=ReplyMessage("assistant", ""),
        done=False,
        progress=progress,
    )


def empty_generate_piece(model: str, progress: Progress | None) -> GenerateResponse:
    """Return a piece of a completion without text."""
    return GenerateResponse(
        model=model, created_at=utc_now(), response="", done=False, progress=progress
    )


async def chat_replies(events: Events, model: str) -> Replies[ChatResponse]:
    """Yield the objects of an answer: its pieces and its end, or the one of a load or unload.

    `model` is the name as the client sent it. `events` are closed with the stream.
    """
    async with aclosing(events):
        async for event in events:
            match event:
                case Delta():
                    for piece in _chat_pieces(model, event):
                        yield piece
                case Finish():
                    yield _chat_end(model, event)
                case LoadOutcome():
                    yield Single(_chat_without_answer(model, done_reason=event.value))
                case Rendered():
                    info = DebugInfo(event.prompt, event.n_images)
                    yield Single(_chat_without_answer(model, debug_info=info))


def _chat_without_answer(
    model: str, *, done_reason: str = "", debug_info: DebugInfo | None = None
) -> ChatResponse:
    return ChatResponse(
        model=model,
        created_at=utc_now(),
        message=ReplyMessage("" if debug_info else "assistant", ""),
        done=bool(done_reason),
        done_reason=done_reason,
        debug_info=debug_info,
    )


def _chat_pieces(model: str, delta: Delta) -> Iterator[ChatResponse]:
    """Yield the objects of a piece: thinking, text and tool calls are separate, as clients expect.

    The first one carries the log probabilities.
    """
    logprobs = _logprobs(delta.logprobs)
    if delta.thinking:
        yield _chat_piece(model, ReplyMessage("assistant", "", delta.thinking), logprobs)
        logprobs = ()
    if delta.content or not (delta.thinking or delta.calls):
        yield _chat_piece(model, ReplyMessage("assistant", delta.content), logprobs)
        logprobs = ()
    if delta.calls:
        calls = ReplyMessage("assistant", "", tool_calls=_calls(delta.calls))
        yield _chat_piece(model, calls, logprobs)


def _chat_piece(model: str, message: ReplyMessage, logprobs: tuple[Logprob, ...]) -> ChatResponse:
    return ChatResponse(
        model=model,
        created_at=utc_now(),
        message=message,
        done=False,
        logprobs=logprobs,
    )


def _chat_end(model: str, end: Finish) -> ChatResponse:
    return ChatResponse(
        model=model,
        created_at=utc_now(),
        message=ReplyMessage("assistant", ""),
        done=True,
        done_reason=end.ending.value,
        **_metrics(end),
    )


def fold_chat(events: list[ChatResponse]) -> ChatResponse:
    """Return one object for a whole answer."""
    last = events[-1]
    last.message.content = "".join(event.message.content for event in events)
    last.message.thinking = "".join(event.message.thinking for event in events)
    last.message.tool_calls = tuple(c for event in events for c in event.message.tool_calls)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last


async def generate_replies(events: Events, model: str) -> Replies[GenerateResponse]:
    """Yield the objects of an answer: its pieces and its end, or the one of a load or unload.

    `model` is the name as the client sent it. `events` are closed with the stream.
    """
    calls: list[CompletedCall] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case Delta():
                    calls += event.calls
                    for piece in _generate_pieces(model, event):
                        yield piece
                case Finish():
                    yield _generate_end(model, event, calls)
                case LoadOutcome():
                    yield Single(_generate_without_answer(model, done_reason=event.value))
                case Rendered():
                    info = DebugInfo(event.prompt, event.n_images)
                    yield Single(_generate_without_answer(model, debug_info=info))


def _generate_without_answer(
    model: str, *, done_reason: str = "", debug_info: DebugInfo | None = None
) -> GenerateResponse:
    return GenerateResponse(
        model=model,
        created_at=utc_now(),
        response="",
        done=bool(done_reason),
        done_reason=done_reason,
        debug_info=debug_info,
    )


def _generate_pieces(model: str, delta: Delta) -> Iterator[GenerateResponse]:
    """Yield the objects of a piece: thinking and text are separate, as clients expect.

    The first one carries the log probabilities.
    """
    logprobs = _logprobs(delta.logprobs)
    if delta.thinking:
        yield _generate_piece(model, "", delta.thinking, logprobs)
        logprobs = ()
    if delta.content or logprobs:
        yield _generate_piece(model, delta.content, "", logprobs)


def _generate_piece(
    model: str, content: str, thinking: str, logprobs: tuple[Logprob, ...]
) -> GenerateResponse:
    return GenerateResponse(
        model=model,
        created_at=utc_now(),
        response=content,
        thinking=thinking,
        done=False,
        logprobs=logprobs,
    )


def _generate_end(model: str, end: Finish, calls: list[CompletedCall]) -> GenerateResponse:
    return GenerateResponse(
        model=model,
        created_at=utc_now(),
        response="",
        done=True,
        done_reason=end.ending.value,
        context=end.context,
        tool_calls=_calls(tuple(calls)),
        **_metrics(end),
    )


def fold_generate(events: list[GenerateResponse]) -> GenerateResponse:
    """Return one object for a whole answer."""
    last = events[-1]
    last.response = "".join(event.response for event in events)
    last.thinking = "".join(event.thinking for event in events)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last


def embed_response(model: str, embedding: Embedding, total_ns: int) -> EmbedResponse:
    """Return the reply of /api/embed; without inputs the model was only loaded."""
    if not len(embedding.vectors):
        return EmbedResponse(model=model, embeddings=[])
    from server.http.vector_encoding import encoded_rows  # noqa: PLC0415 - see its docstring

    return EmbedResponse(
        model=model,
        embeddings=encoded_rows(embedding.vectors),
        total_duration=total_ns,
        load_duration=embedding.load_ns,
        prompt_eval_count=embedding.n_tokens,
    )


def embeddings_response(embedding: Embedding) -> EmbeddingsResponse:
    """Return the reply of the older /api/embeddings, for one input or none."""
    return EmbeddingsResponse([float(value) for row in embedding.vectors for value in row])


class _Metrics(TypedDict):
    """The fields of the last object that generate and chat share."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int
    prompt_truncated: bool
    prompt_tokens_dropped: int


def _metrics(end: Finish) -> _Metrics:
    """Return the counters and durations of an answer."""
    return _Metrics(
        total_duration=end.total_ns,
        load_duration=end.load_ns,
        prompt_eval_count=end.n_prompt,
        prompt_eval_duration=end.prompt_ns,
        eval_count=end.n_generated,
        eval_duration=end.generation_ns,
        prompt_truncated=end.n_dropped > 0,
        prompt_tokens_dropped=end.n_dropped,
    )


def _logprobs(entries: tuple[TokenLogprob, ...]) -> tuple[Logprob, ...]:
    """Convert log probabilities."""
    return tuple(
        Logprob(
            token=_text(entry.chosen),
            logprob=entry.chosen.logprob,
            bytes=tuple(entry.chosen.text),
            top_logprobs=tuple(_alternative(a) for a in entry.top),
        )
        for entry in entries
    )


def _alternative(entry: TokenAlternative) -> Alternative:
    return Alternative(token=_text(entry), logprob=entry.logprob, bytes=tuple(entry.text))


def _text(entry: TokenAlternative) -> str:
    return entry.text.decode("utf-8", "replace")


def _calls(calls: tuple[CompletedCall, ...]) -> tuple[ReplyCall, ...]:
    """Convert tool calls."""
    return tuple(
        ReplyCall(call.id, CalledFunction(call.index, call.name, call.arguments)) for call in calls
    )
