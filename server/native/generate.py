"""POST /api/generate, between its own objects and a completion."""

from collections.abc import Callable
from contextlib import aclosing

from server.http.streaming import Events as Replies
from server.http.streaming import Single
from server.inference.conversation import (
    CompletedCall,
    Completion,
    Delta,
    Events,
    Finish,
    LoadOutcome,
    Rendered,
)
from server.inference.generation import constraint_of, logprobs_wanted
from server.native.wire import calls_of, logprobs_of, metrics
from server.schemas.generate import DebugInfo, GenerateRequest, GenerateResponse
from server.text.timestamps import utc_now


async def generate(
    serve: Callable[[Completion], Events], request: GenerateRequest
) -> Replies[GenerateResponse]:
    """Yield the pieces of the answer, then its end; or the one object of a load or unload."""
    calls: list[CompletedCall] = []
    async with aclosing(serve(_completion(request))) as events:
        async for event in events:
            match event:
                case Delta():
                    calls += event.calls
                    if event.content or event.thinking or event.logprobs:
                        yield _piece(request, event)
                case Finish():
                    yield _end(request, event, calls)
                case LoadOutcome():
                    yield Single(_plain(request, done_reason=event.value))
                case Rendered():
                    told = DebugInfo(event.prompt, event.n_images)
                    yield Single(_plain(request, debug_info=told))


def _completion(request: GenerateRequest) -> Completion:
    is_answered = request.prompt and not request.debug_render_only
    return Completion(
        model=request.model,
        prompt=request.prompt,
        suffix=request.suffix,
        system=request.system,
        template=request.template,
        context=None if request.context is None else tuple(request.context),
        raw=request.raw,
        images=tuple(request.images),
        options=request.options,
        think=request.think,
        constraint=constraint_of(request.format) if is_answered else None,
        keep_alive=request.keep_alive,
        truncate=request.truncate,
        shift=request.shift,
        logprobs=logprobs_wanted(request.logprobs, request.top_logprobs),
        debug_render_only=request.debug_render_only,
    )


def _plain(
    request: GenerateRequest, *, done_reason: str = "", debug_info: DebugInfo | None = None
) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=utc_now(),
        response="",
        done=bool(done_reason),
        done_reason=done_reason,
        debug_info=debug_info,
    )


def _piece(request: GenerateRequest, delta: Delta) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=utc_now(),
        response=delta.content,
        thinking=delta.thinking,
        done=False,
        logprobs=logprobs_of(delta.logprobs),
    )


def _end(request: GenerateRequest, end: Finish, calls: list[CompletedCall]) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=utc_now(),
        response="",
        done=True,
        done_reason=end.ending.value,
        context=end.context,
        tool_calls=calls_of(tuple(calls)),
        **metrics(end),
    )


def fold_generate(events: list[GenerateResponse]) -> GenerateResponse:
    """Join the pieces of an answer to one object."""
    last = events[-1]
    last.response = "".join(event.response for event in events)
    last.thinking = "".join(event.thinking for event in events)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last
