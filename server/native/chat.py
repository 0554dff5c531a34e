"""POST /api/chat, between its own objects and a conversation."""

from collections.abc import Callable, Iterator
from contextlib import aclosing

from server.http.streaming import Events as Replies
from server.http.streaming import Single
from server.inference.conversation import (
    Conversation,
    Delta,
    Events,
    Finish,
    LoadOutcome,
    Rendered,
)
from server.inference.generation import constraint_of, logprobs_wanted
from server.native.wire import calls_of, logprobs_of, metrics
from server.prompt.messages import Message, Tool, ToolCall
from server.schemas.chat import ChatMessage, ChatRequest, ChatResponse, ReplyMessage
from server.schemas.generate import DebugInfo
from server.schemas.logprobs import Logprob
from server.schemas.tools import Tool as ToolField
from server.text.timestamps import utc_now


async def chat(
    serve: Callable[[Conversation], Events], request: ChatRequest
) -> Replies[ChatResponse]:
    """Yield the pieces of the answer, then its end; or the one object of a load or unload."""
    async with aclosing(serve(_conversation(request))) as events:
        async for event in events:
            match event:
                case Delta():
                    for piece in _pieces(request, event):
                        yield piece
                case Finish():
                    yield _end(request, event)
                case LoadOutcome():
                    yield Single(_plain(request, done_reason=event.value))
                case Rendered():
                    told = DebugInfo(event.prompt, event.n_images)
                    yield Single(_plain(request, debug_info=told))


def _conversation(request: ChatRequest) -> Conversation:
    is_answered = request.messages and not request.debug_render_only
    return Conversation(
        model=request.model,
        messages=tuple(map(_message, request.messages)),
        tools=tuple(map(_tool, request.tools)),
        options=request.options,
        think=request.think,
        constraint=constraint_of(request.format) if is_answered else None,
        keep_alive=request.keep_alive,
        truncate=request.truncate,
        shift=request.shift,
        logprobs=logprobs_wanted(request.logprobs, request.top_logprobs),
        debug_render_only=request.debug_render_only,
    )


def _message(message: ChatMessage) -> Message:
    return Message(
        role=message.role.lower(),
        content=message.content,
        thinking=message.thinking,
        images=tuple(message.images),
        tool_calls=tuple(
            ToolCall(c.id, c.function.index, c.function.name, c.function.arguments)
            for c in message.tool_calls
        ),
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
    )


def _tool(tool: ToolField) -> Tool:
    function = tool.function
    return Tool(
        type=tool.type,
        name=function.name,
        description=function.description,
        parameters=function.parameters.model_dump(by_alias=True, exclude_defaults=True),
    )


def _plain(
    request: ChatRequest, *, done_reason: str = "", debug_info: DebugInfo | None = None
) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=utc_now(),
        message=ReplyMessage("" if debug_info else "assistant", ""),
        done=bool(done_reason),
        done_reason=done_reason,
        debug_info=debug_info,
    )


def _pieces(request: ChatRequest, delta: Delta) -> Iterator[ChatResponse]:
    """Yield a piece of the answer; calls stand apart from text, as clients know them."""
    logprobs = logprobs_of(delta.logprobs)
    if delta.content or delta.thinking or not delta.calls:
        text = ReplyMessage("assistant", delta.content, delta.thinking)
        yield _piece(request, text, logprobs)
        logprobs = ()
    if delta.calls:
        calls = ReplyMessage("assistant", "", tool_calls=calls_of(delta.calls))
        yield _piece(request, calls, logprobs)


def _piece(
    request: ChatRequest, message: ReplyMessage, logprobs: tuple[Logprob, ...]
) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=utc_now(),
        message=message,
        done=False,
        logprobs=logprobs,
    )


def _end(request: ChatRequest, end: Finish) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=utc_now(),
        message=ReplyMessage("assistant", ""),
        done=True,
        done_reason=end.ending.value,
        **metrics(end),
    )


def fold_chat(events: list[ChatResponse]) -> ChatResponse:
    """Join the pieces of an answer to one object."""
    last = events[-1]
    last.message.content = "".join(event.message.content for event in events)
    last.message.thinking = "".join(event.message.thinking for event in events)
    last.message.tool_calls = tuple(c for event in events for c in event.message.tool_calls)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last
