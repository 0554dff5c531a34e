"""POST /api/generate: one prompt, through a template or raw, continued."""

import time
from collections.abc import AsyncGenerator

from model_store.model import Model
from model_store.store import Store
from runners.host.scheduler import Lease, Scheduler
from runners.protocol.messages import Chunk, Done
from server.capabilities import capabilities
from server.errors import BadRequest
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
from server.prompt.messages import Message, Think
from server.prompt.render import Renderer, go_template_of, parsed, renderer_for
from server.schemas.generate import DebugInfo, GenerateRequest, GenerateResponse
from server.schemas.options import Options, merged_options
from server.streaming import Single
from server.threads import in_thread
from server.timestamps import utc_now

Events = AsyncGenerator[GenerateResponse | Single[GenerateResponse], None]


class GenerateService:
    """Serves generate requests; `go_template` is the setting of that name."""

    def __init__(self, store: Store, scheduler: Scheduler, *, go_template: bool | None) -> None:
        self._store, self._scheduler, self._go_template = store, scheduler, go_template

    async def __call__(self, request: GenerateRequest) -> Events:
        """Yield the pieces of the answer, then its end; or the one object of a load or unload."""
        started = time.perf_counter_ns()
        model = find_model(self._store, request.model)
        if not request.prompt and request.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield Single(_plain(request, done_reason="unload"))
            return
        think = self._check(request, model)
        options = merged_options(model.parameters, request.options)
        async with self._scheduler.lease(
            model_request(model, options, request.keep_alive)
        ) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not request.prompt:
                yield Single(_plain(request, done_reason="load"))
                return
            prompt = await self._prompt(request, model, lease, options, think)
            if request.debug_render_only:
                info = DebugInfo(prompt, len(request.images))
                yield Single(_plain(request, debug_info=info))
                return
            refuse_images(request.images)
            work = command(
                prompt,
                options,
                n_ctx=context_of(options, lease.ready),
                truncate=request.truncate,
                shift=request.shift,
                logprobs=logprobs_wanted(request.logprobs, request.top_logprobs),
                constraint=constraint_of(request.format),
            )
            text: list[str] = []
            async for event in lease.runner.generate(work):
                if isinstance(event, Chunk):
                    text.append(event.text)
                    yield _piece(request, event)
                else:
                    context = (
                        () if request.raw else await lease.runner.tokenize(prompt + "".join(text))
                    )
                    yield _end(request, event, timings, context)

    def _check(self, request: GenerateRequest, model: Model) -> Think | None:
        if request.raw and (request.template or request.system or request.context):
            raise BadRequest("raw mode does not support template, system, or context")
        able = capabilities(model, self._go_template)
        think = effective_think(request.think, able, request.model)
        require(able, model, request.model, "generate", insert=bool(request.suffix))
        return think

    async def _prompt(
        self,
        request: GenerateRequest,
        model: Model,
        lease: Lease,
        options: Options,
        think: Think | None,
    ) -> str:
        if request.raw:
            return request.prompt
        if request.suffix:
            return await in_thread(_gap_prompt, request, model, think)
        rendered = await fitted_prompt(
            lambda: self._renderer(request, model),
            _messages(request, model),
            think=think,
            runner=lease.runner,
            n_ctx=context_of(options, lease.ready),
            truncate=request.truncate,
        )
        earlier = await lease.runner.detokenize(request.context) if request.context else ""
        return earlier + rendered

    def _renderer(self, request: GenerateRequest, model: Model) -> Renderer:
        if request.template:
            return parsed(request.template)
        return renderer_for(model, self._go_template)


def _gap_prompt(request: GenerateRequest, model: Model, think: Think | None) -> str:
    template = parsed(request.template) if request.template else go_template_of(model)
    return template.render_gap(request.prompt, request.suffix, think)


def _messages(request: GenerateRequest, model: Model) -> list[Message]:
    system = request.system or model.system
    history = () if request.context is not None else model.messages
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in history),
        Message("user", request.prompt, images=tuple(request.images)),
    ]


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


def _piece(request: GenerateRequest, chunk: Chunk) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=utc_now(),
        response=chunk.text,
        done=False,
        logprobs=logprobs_of(chunk.logprobs),
    )


def _end(
    request: GenerateRequest, done: Done, timings: Timings, context: tuple[int, ...]
) -> GenerateResponse:
    return GenerateResponse(
        model=request.model,
        created_at=utc_now(),
        response="",
        done=True,
        done_reason=done_reason(done),
        context=context,
        **metrics(done, timings, time.perf_counter_ns()),
    )


def fold_generate(events: list[GenerateResponse]) -> GenerateResponse:
    """Join the pieces of an answer to one object."""
    last = events[-1]
    last.response = "".join(event.response for event in events)
    last.thinking = "".join(event.thinking for event in events)
    last.logprobs = tuple(entry for event in events for entry in event.logprobs)
    return last
