"""Completion: continue a prompt through a template, between prefix and suffix, or raw."""

import time
from contextlib import aclosing
from dataclasses import replace

from model_store.model import Model
from model_store.store import Store
from runners.host.scheduler import Lease, Scheduler
from server.capabilities import capabilities
from server.concurrency.threads import in_thread
from server.errors import BadRequest
from server.formats import (
    DEFAULT_TEMPLATE,
    PLAIN,
    Format,
    choose,
    go_template_of,
    of_go_template,
    renderer_of,
)
from server.inference.answers import answers
from server.inference.checks import effective_think, require
from server.inference.conversation import Completion, Events, Finish, LoadOutcome, Rendered
from server.inference.generation import Timings, command, context_of
from server.inference.media import media_of
from server.inference.model_request import model_key, model_request
from server.inference.models import find_model
from server.inference.options import merged_options
from server.inference.prompting import fitted_prompt, for_tokenizer
from server.inference.retry import retry_stream
from server.inference.text_length import max_characters, require_fit, too_long
from server.media.decoder import MediaDecoder
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Message, Think
from server.prompt.renderer import Renderer
from server.prompt.template import GoTemplate, parse_go_template
from server.rendering.client import PromptRenderer
from server.request_record import current


class GenerateService:
    """Completes prompts; `go_template` is the setting OLLAMA_GO_TEMPLATE."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        prompts: PromptRenderer,
        decoder: MediaDecoder,
        *,
        go_template: bool | None,
    ) -> None:
        self._store, self._scheduler = store, scheduler
        self._prompts, self._decoder = prompts, decoder
        self._go_template = go_template

    @retry_stream
    async def __call__(self, completion: Completion) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        model = find_model(self._store, completion.model)
        if not completion.prompt and completion.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield LoadOutcome.UNLOADED
            return
        format = await in_thread(choose, model, self._go_template)
        think = _check(completion, model, format)
        options = merged_options(model.parameters, completion.options)
        if completion.images:
            self._decoder.prepare()
        async with self._scheduler.lease(
            model_request(model, options, completion.keep_alive)
        ) as lease:
            timings = Timings(started, time.perf_counter_ns())
            current().set_lease(lease.pid, lease.queue_seconds, lease.load_seconds)
            if not completion.prompt:
                yield LoadOutcome.LOADED
                return
            runner, n_ctx = lease.runner, context_of(options, lease.ready)
            format, renderer = await in_thread(_format_and_renderer, completion, model, format)
            current().set_format(format.renderer, format.output.name, format.reason)
            prompt = await self._prompt(
                completion,
                model,
                format,
                renderer,
                think,
                lease=lease,
                n_ctx=n_ctx,
                n_predict=options.num_predict,
            )
            if isinstance(prompt, str):
                await require_fit(runner, prompt, n_ctx)
            if completion.debug_render_only:
                text = prompt if isinstance(prompt, str) else await runner.detokenize(prompt)
                yield Rendered(text, len(completion.images))
                return
            messages = [Message("user", images=completion.images)]
            media = await media_of(self._decoder, messages, (), lease.ready, completion.n)
            if isinstance(prompt, str):
                prompt = for_tokenizer(prompt, renderer, lease.ready)
            text = prompt if isinstance(prompt, str) else ""
            # A completion between prefix and suffix is text: no reasoning, no tool calls.
            output = PASSTHROUGH if completion.suffix else format.output
            start = GenerationStart(last=Message("user", text), think=think, prompt=text)
            parsers = [output.create_parser(start) for _ in range(completion.n)]
            work = command(
                prompt,
                options,
                completion,
                media=media,
                n_ctx=n_ctx,
                constraint=parsers[0].constrain_answer(completion.constraint)
                if completion.constraint
                else None,
                visible=output.visible_tokens,
                return_tokens=format is not PLAIN,
            )
            async with aclosing(answers(runner, work, parsers, timings)) as events:
                async for event in events:
                    if isinstance(event, Finish) and format is not PLAIN and not event.context:
                        tokens = await runner.tokenize(text + event.raw_text)
                        yield replace(event, context=tokens)
                    else:
                        yield event

    async def _prompt(
        self,
        completion: Completion,
        model: Model,
        format: Format,
        renderer: Renderer,
        think: Think | None,
        *,
        lease: Lease,
        n_ctx: int,
        n_predict: int | None,
    ) -> str | tuple[int, ...]:
        if completion.raw or not isinstance(completion.prompt, str):
            return completion.prompt
        if completion.suffix:
            n_characters = len(completion.prompt) + len(completion.suffix)
            if n_characters > max_characters(n_ctx):
                raise too_long(n_characters, n_ctx)
            template = await in_thread(_suffix_template, completion, model)
            return await self._prompts.render_suffix(
                template, completion.prompt, completion.suffix, think
            )
        fitted = await fitted_prompt(
            self._prompts,
            renderer,
            format.output,
            _messages(completion, completion.prompt, model),
            think=think,
            lease=lease,
            n_ctx=n_ctx,
            n_predict=n_predict,
            truncate=completion.truncate,
        )
        if not completion.context:
            return fitted.prompt
        earlier = await lease.runner.detokenize(completion.context)
        # The earlier prompt has BOS already.
        return earlier + fitted.prompt.removeprefix(renderer.bos)


def _check(completion: Completion, model: Model, format: Format) -> Think | None:
    if completion.raw and (completion.template or completion.system or completion.context):
        raise BadRequest("raw mode does not support template, system, or context")
    able = capabilities(model, format)
    think = effective_think(
        completion.think, able, completion.model, if_supported=completion.think_if_supported
    )
    require(able, model, completion.model, "generate", insert=bool(completion.suffix))
    return think


def _format_and_renderer(
    completion: Completion, model: Model, format: Format
) -> tuple[Format, Renderer]:
    """Return the format that the request needs, which may replace the model's, and its renderer."""
    if completion.raw or not isinstance(completion.prompt, str):
        return PLAIN, parse_go_template(DEFAULT_TEMPLATE)
    if completion.template:
        return of_go_template(completion.template), parse_go_template(completion.template)
    return format, renderer_of(model, format)


def _suffix_template(completion: Completion, model: Model) -> GoTemplate:
    return parse_go_template(completion.template) if completion.template else go_template_of(model)


def _messages(completion: Completion, prompt: str, model: Model) -> list[Message]:
    system = completion.system or model.system
    history = () if completion.context is not None else model.messages
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in history),
        Message("user", prompt, images=completion.images),
    ]
