"""POST /api/chat: a conversation, continued."""

import time
from collections.abc import AsyncGenerator

from model_store.model import Model
from model_store.store import Store
from runners.host.scheduler import Scheduler
from runners.protocol.messages import Chunk, Done
from server.capabilities import capabilities
from server.inference.checks import effective_think, refuse_images, require
from server.inference.generation import (
    Timings,
    command,
    constraint_of,
    context_of,
    done_reason,
    logprobs_wanted,
    metrics,
)
from server.inference.loading import model_key, model_request
from server.inference.models import find_model
from server.inference.prompting import fitted_prompt
from server.inference.wire import logprobs_of
from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.render import renderer_for
from server.schemas.chat import ChatMessage, ChatRequest, ChatResponse, ReplyMessage
from server.schemas.generate import DebugInfo
from server.schemas.options import merged_options
from server.schemas.tools import Tool as ToolField
from server.streaming import Single
from server.timestamps import utc_now

Events = AsyncGenerator[ChatResponse | Single[ChatResponse], None]


class ChatService:
    """Serves chat requests; `go_template` is the setting of that name."""

    def __init__(self, store: Store, scheduler: Scheduler, *, go_template: bool | None) -> None:
        self._store, self._scheduler, self._go_template = store, scheduler, go_template

    async def __call__(self, request: ChatRequest) -> Events:
        """Yield the pieces of the answer, then its end; or the one object of a load or unload."""
        started = time.perf_counter_ns()
        model = find_model(self._store, request.model, required=True)
        if not request.messages and request.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield Single(_plain(request, done_reason="unload"))
            return
        think = self._check(request, model)
        options = merged_options(model.parameters, request.options)
        async with self._scheduler.lease(
            model_request(model, options, request.keep_alive)
        ) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not request.messages:
                yield Single(_plain(request, done_reason="load"))
                return
            messages = _conversation(request, model)
            prompt = await fitted_prompt(
                lambda: renderer_for(model, self._go_template),
                messages,
                tools=[_tool(tool) for tool in request.tools],
                think=think,
                runner=lease.runner,
                n_ctx=context_of(options, lease.ready),
                truncate=request.truncate,
            )
            images = [image for message in messages for image in message.images]
            if request.debug_render_only:
                yield Single(_plain(request, debug_info=DebugInfo(prompt, len(images))))
                return
            refuse_images(images)
            work = command(
                prompt,
                options,
                n_ctx=context_of(options, lease.ready),
                truncate=request.truncate,
                shift=request.shift,
                logprobs=logprobs_wanted(request.logprobs, request.top_logprobs),
                constraint=constraint_of(request.format),
            )
            async for event in lease.runner.generate(work):
                if isinstance(event, Chunk):
                    yield _piece(request, event)
                else:
                    yield _end(request, event, timings)

    def _check(self, request: ChatRequest, model: Model) -> Think | None:
        able = capabilities(model, self._go_template)
        think = effective_think(request.think, able, request.model)
        require(able, model, request.model, "chat", tools=bool(request.tools))
        return think


def _conversation(request: ChatRequest, model: Model) -> list[Message]:
    """Put the model's system text and messages before those of the request."""
    first = request.messages[0]
    system = model.system if first.role.lower() != "system" else ""
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in model.messages),
        *(_message(m) for m in request.messages),
    ]


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


def _piece(request: ChatRequest, chunk: Chunk) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=utc_now(),
        message=ReplyMessage("assistant", chunk.text),
        done=False,
        logprobs=logprobs_of(chunk.logprobs),
    )


def _end(request: ChatRequest, done: Done, timings: Timings) -> ChatResponse:
    return ChatResponse(
        model=request.model,
        created_at=utc_now(),
        message=ReplyMessage("assistant", ""),
        done=True,
        done_reason=done_reason(done),
        **metrics(done, timings, time.perf_counter_ns()),
    )


def fold_chat(events: list[ChatResponse]) -> ChatResponse:
    """Join the pieces of an answer to one object."""
    last = events[-1]
    last.message.content = "".join(event.message.content for event in events)
    last.message.thinking = "".join(event.message.thinking for event in events)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last
