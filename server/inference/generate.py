"""Completion: continue a prompt through a template, between prefix and suffix, or raw."""

import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final

from model_store.model import Model
from runners.host.client import RunnerClient
from runners.host.scheduler import Lease, Scheduler
from runners.protocol.tokens import AnyText
from server.concurrency.threads import in_thread, in_thread_if_long
from server.errors import BadRequest
from server.formats import PLAIN, Format, go_template_of, suffix_template_of
from server.inference.answer_plan import AnswerPlan, Planner, recorded_lease
from server.inference.answers import answers
from server.inference.chat_formats import ChatFormat, ChatFormats
from server.inference.checks import effective_think, require
from server.inference.conversation import Completion, Events, Finish, LoadOutcome, Rendered
from server.inference.generation import Timings, command, context_of, stops_repetition
from server.inference.growth import Room, grow_context, require_room
from server.inference.media import media_of
from server.inference.prompting import fitted_prompt, without_bos
from server.inference.retry import retry_stream
from server.inference.text_length import (
    max_characters,
    require_few_tokens,
    require_fit,
    too_long,
)
from server.media.decoder import MediaDecoder
from server.parsing.families.passthrough import PASSTHROUGH
from server.parsing.output_format import GenerationStart
from server.prompt.content_marks import mark_content
from server.prompt.messages import Message, Think
from server.prompt.rendered_prompt import RenderedPrompt, with_breaks
from server.prompt.special_tokens import SpecialTexts
from server.prompt.template import GoTemplate, parse_go_template
from server.rendering.client import PromptRenderer
from server.request_record import current

_BLOCK: Final = 1024


class GenerateService:
    """Completes prompts."""

    def __init__(
        self,
        planner: Planner,
        scheduler: Scheduler,
        prompts: PromptRenderer,
        decoder: MediaDecoder,
        formats: ChatFormats,
    ) -> None:
        self._planner, self._scheduler, self._formats = planner, scheduler, formats
        self._prompts, self._decoder = prompts, decoder

    @grow_context
    @retry_stream
    async def __call__(self, completion: Completion) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        if not completion.prompt and completion.keep_alive == 0:
            self._scheduler.unload(await in_thread(self._planner.key, completion.model))
            yield LoadOutcome.UNLOADED
            return
        plan = await in_thread(self._planner.plan, completion, _check)
        model, options = plan.model, plan.options
        if completion.images:
            self._decoder.prepare()
        async with recorded_lease(self._scheduler, plan.request, _blocks(completion)) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not completion.prompt:
                yield LoadOutcome.LOADED
                return
            runner, n_ctx = lease.runner, context_of(options, lease.ready)
            room = Room(lease, n_ctx, completion, options.num_predict)
            chat_format = await self._format(completion, plan, runner)
            format, special = chat_format.format, chat_format.special
            current().set_format(format.renderer, format.output.name, format.reason)
            prompt = await self._prompt(completion, plan, chat_format, lease=lease, room=room)
            await require_room(runner, prompt, room)
            if isinstance(prompt, RenderedPrompt):
                await require_fit(runner, prompt.text, n_ctx)
            if completion.debug_render_only:
                yield Rendered(await _text_of(prompt, runner), len(completion.images))
                return
            messages = [Message("user", images=completion.images)]
            media = await media_of(self._decoder, messages, (), lease.ready, completion.n)
            if isinstance(prompt, RenderedPrompt):
                prompt = without_bos(prompt, chat_format.renderer, lease.ready)
            text = prompt if isinstance(prompt, RenderedPrompt) else RenderedPrompt("")
            # A completion between prefix and suffix is text: no reasoning, no tool calls.
            output = PASSTHROUGH if completion.suffix else format.output
            start = GenerationStart(
                last=Message("user", text.text), think=plan.think, prompt=text.text
            )
            parsers = [output.create_parser(start) for _ in range(completion.n)]
            work = command(
                await _for_runner(prompt, special),
                options,
                completion,
                media=media,
                adapters=plan.request.adapters,
                n_ctx=n_ctx,
                constraint=parsers[0].constrain_answer(completion.constraint)
                if completion.constraint
                else None,
                visible=output.visible_tokens,
                system_bytes=text.bytes_until(_system(completion, model).strip()),
                stop_repetition=format is not PLAIN and stops_repetition(options, completion),
                return_tokens=format is not PLAIN,
            )
            async with aclosing(answers(runner, work, parsers, timings)) as events:
                async for event in events:
                    if isinstance(event, Finish) and format is not PLAIN and not event.context:
                        answer = with_breaks(event.raw_text, special, output.visible_tokens)
                        yield replace(event, context=await _tokens(text + answer, special, runner))
                    else:
                        yield event

    async def _format(
        self, completion: Completion, plan: AnswerPlan, runner: RunnerClient
    ) -> ChatFormat:
        """Return the format that the request needs, which may replace the model's."""
        if completion.raw or not isinstance(completion.prompt, str):
            return self._formats.of_raw_prompt()
        if completion.template:
            return await self._formats.of_template(completion.template, runner)
        return await self._formats.of_model(plan, runner)

    async def _prompt(
        self,
        completion: Completion,
        plan: AnswerPlan,
        chat_format: ChatFormat,
        *,
        lease: Lease,
        room: Room,
    ) -> RenderedPrompt | tuple[int, ...]:
        if not isinstance(completion.prompt, str):
            return completion.prompt
        if completion.raw:
            return RenderedPrompt(completion.prompt)
        special = chat_format.special
        if completion.suffix:
            n_characters = len(completion.prompt) + len(completion.suffix)
            if n_characters > max_characters(room.max_n_ctx):
                raise too_long(n_characters, room.n_ctx)
            template = await in_thread(_suffix_template, completion, plan.model, chat_format.format)
            return await self._suffix_prompt(
                completion, completion.prompt, template, plan.think, special
            )
        require_few_tokens(len(completion.context or ()), room.max_n_ctx)
        fitted = await fitted_prompt(
            self._prompts,
            chat_format.renderer,
            chat_format.format.output,
            _messages(completion, completion.prompt, plan.model),
            special=special,
            think=plan.think,
            lease=lease,
            room=room,
            n_predict=plan.options.num_predict,
            truncate=completion.truncate,
        )
        if not completion.context:
            return fitted.prompt
        earlier = await lease.runner.detokenize(completion.context)
        before = await in_thread(partial(with_breaks, earlier.text, special, real=earlier.special))
        # The earlier prompt has BOS already.
        return before + fitted.prompt.removeprefix(chat_format.renderer.bos)

    async def _suffix_prompt(
        self,
        completion: Completion,
        prompt: str,
        template: GoTemplate,
        think: Think | None,
        special: SpecialTexts,
    ) -> RenderedPrompt:
        texts = [Message("user", prompt), Message("user", completion.suffix)]
        marked = mark_content(texts, (), special=special, markup=template.markup)
        before, after = (message.content for message in marked.messages)
        rendered = await self._prompts.render_suffix(template, before, after, think)
        return await in_thread(marked.unmark, rendered)


async def _for_runner(
    prompt: RenderedPrompt | tuple[int, ...], special: SpecialTexts
) -> AnyText | tuple[int, ...]:
    if isinstance(prompt, tuple):
        return prompt
    return await in_thread_if_long(len(prompt.text), prompt.for_tokenizer, special)


async def _tokens(
    prompt: RenderedPrompt, special: SpecialTexts, runner: RunnerClient
) -> tuple[int, ...]:
    text = await in_thread_if_long(len(prompt.text), prompt.for_tokenizer, special)
    return await runner.tokenize(text)


async def _text_of(prompt: RenderedPrompt | tuple[int, ...], runner: RunnerClient) -> str:
    if isinstance(prompt, RenderedPrompt):
        return prompt.text
    return (await runner.detokenize(prompt)).text


def _blocks(completion: Completion) -> Iterator[str]:
    """Yield what the prompt begins with, in blocks that other prompts may begin with too."""
    yield completion.system
    prompt = completion.prompt
    for begin in range(0, len(prompt), _BLOCK):
        yield str(prompt[begin : begin + _BLOCK])


def _check(completion: Completion, model: Model, able: Sequence[str]) -> Think | None:
    if completion.raw and (completion.template or completion.system or completion.context):
        raise BadRequest("raw mode does not support template, system, or context")
    think = effective_think(
        completion.think, able, completion.model, if_supported=completion.think_if_supported
    )
    require(able, model, completion.model, "generate", insert=bool(completion.suffix))
    return think


def _suffix_template(completion: Completion, model: Model, format: Format) -> GoTemplate:
    source = completion.template or suffix_template_of(model, format.source)
    return parse_go_template(source) if source else go_template_of(model)


def _system(completion: Completion, model: Model) -> str:
    return completion.system or model.system


def _messages(completion: Completion, prompt: str, model: Model) -> list[Message]:
    system = _system(completion, model)
    history = () if completion.context is not None else model.messages
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in history),
        Message("user", prompt, images=completion.images),
    ]
