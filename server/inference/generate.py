"""Single prompts, continued: through a template, between two texts, or raw."""

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
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.output_format import GenerationStart
from server.prompt.messages import Message, Think
from server.prompt.renderer import Renderer
from server.prompt.template import GoTemplate, parse_go_template
from server.rendering.client import PromptRenderer
from server.request_record import current


class GenerateService:
    """Continues prompts; `go_template` is the setting of that name."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        prompts: PromptRenderer,
        *,
        go_template: bool | None,
    ) -> None:
        self._store, self._scheduler, self._prompts = store, scheduler, prompts
        self._go_template = go_template

    async def __call__(self, asked: Completion) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        model = find_model(self._store, asked.model)
        if not asked.prompt and asked.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield LoadOutcome.UNLOADED
            return
        format = await in_thread(choose, model, self._go_template)
        think = _check(asked, model, format)
        options = merged_options(model.parameters, asked.options)
        async with self._scheduler.lease(model_request(model, options, asked.keep_alive)) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not asked.prompt:
                yield LoadOutcome.LOADED
                return
            runner, n_ctx = lease.runner, context_of(options, lease.ready)
            format, renderer = await in_thread(_format_and_renderer, asked, model, format)
            current().set_format(format.renderer, format.output.name, format.reason)
            prompt = await self._prompt(
                asked,
                model,
                format,
                renderer,
                think,
                lease=lease,
                n_ctx=n_ctx,
                n_predict=options.num_predict,
            )
            if asked.debug_render_only:
                text = prompt if isinstance(prompt, str) else await runner.detokenize(prompt)
                yield Rendered(text, len(asked.images))
                return
            shown = [Message("user", images=asked.images)]
            media = await media_of(shown, (), lease.ready, asked.n)
            if isinstance(prompt, str):
                prompt = for_tokenizer(prompt, renderer, lease.ready)
            begun = prompt if isinstance(prompt, str) else ""
            # Between two texts stands neither a thought nor a call.
            family = PASSTHROUGH if asked.suffix else format.output
            beginning = GenerationStart(last=Message("user", begun), think=think, prompt=begun)
            parsers = [family.create_parser(beginning) for _ in range(asked.n)]
            work = command(
                prompt,
                options,
                asked,
                media=media,
                n_ctx=n_ctx,
                constraint=parsers[0].constrain_answer(asked.constraint)
                if asked.constraint
                else None,
                visible=family.visible_tokens,
            )
            async with aclosing(answers(runner, work, parsers, timings)) as events:
                async for event in events:
                    if isinstance(event, Finish) and format is not PLAIN:
                        tokens = await runner.tokenize(begun + event.written)
                        yield replace(event, context=tokens)
                    else:
                        yield event

    async def _prompt(
        self,
        asked: Completion,
        model: Model,
        format: Format,
        renderer: Renderer,
        think: Think | None,
        *,
        lease: Lease,
        n_ctx: int,
        n_predict: int | None,
    ) -> str | tuple[int, ...]:
        if asked.raw or not isinstance(asked.prompt, str):
            return asked.prompt
        if asked.suffix:
            template = await in_thread(_suffix_template, asked, model)
            return await self._prompts.render_suffix(template, asked.prompt, asked.suffix, think)
        rendered, _ = await fitted_prompt(
            self._prompts,
            renderer,
            format.output,
            _messages(asked, asked.prompt, model),
            think=think,
            lease=lease,
            n_ctx=n_ctx,
            n_predict=n_predict,
            truncate=asked.truncate,
        )
        if not asked.context:
            return rendered
        earlier = await lease.runner.detokenize(asked.context)
        # BOS stands before what was said earlier.
        return earlier + rendered.removeprefix(renderer.bos)


def _check(asked: Completion, model: Model, format: Format) -> Think | None:
    if asked.raw and (asked.template or asked.system or asked.context):
        raise BadRequest("raw mode does not support template, system, or context")
    able = capabilities(model, format)
    think = effective_think(asked.think, able, asked.model, if_able=asked.think_if_able)
    require(able, model, asked.model, "generate", insert=bool(asked.suffix))
    return think


def _format_and_renderer(
    asked: Completion, model: Model, format: Format
) -> tuple[Format, Renderer]:
    """Return the format that the request needs, which may replace the model's, and its renderer."""
    if asked.raw or not isinstance(asked.prompt, str):
        return PLAIN, parse_go_template(DEFAULT_TEMPLATE)
    if asked.template:
        return of_go_template(asked.template), parse_go_template(asked.template)
    return format, renderer_of(model, format)


def _suffix_template(asked: Completion, model: Model) -> GoTemplate:
    return parse_go_template(asked.template) if asked.template else go_template_of(model)


def _messages(asked: Completion, prompt: str, model: Model) -> list[Message]:
    system = asked.system or model.system
    history = () if asked.context is not None else model.messages
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in history),
        Message("user", prompt, images=asked.images),
    ]
