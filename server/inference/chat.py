"""Chat: render a conversation, generate and parse its answers."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from model_store.model import Model
from runners.host.scheduler import Lease, Scheduler
from runners.protocol.tokens import AnyText
from server.concurrency.threads import in_thread, in_thread_if_long
from server.config.long_prompts import LongPrompts
from server.inference.answer_plan import AnswerPlan, Planner, recorded_lease
from server.inference.answers import answers
from server.inference.chat_formats import ChatFormat, ChatFormats
from server.inference.checks import effective_think, require
from server.inference.conversation import (
    Conversation,
    Events,
    LoadOutcome,
    Rendered,
    ToolChoice,
)
from server.inference.generation import Timings, command, context_of, stops_repetition
from server.inference.growth import Room, grow_context
from server.inference.media import media_of, with_placeholders
from server.inference.prompting import fitted_prompt, without_bos
from server.inference.retry import retry_call, retry_stream
from server.inference.text_length import require_countable
from server.inference.tool_choice import constraint_on, may_call_freely
from server.media.decoder import MediaDecoder
from server.parsing.lenient.json_shapes import OfferedTools
from server.parsing.lenient.parser import LenientCallParser
from server.parsing.output_format import GenerationStart
from server.parsing.parser import OutputParser
from server.prompt import image_tags
from server.prompt.messages import Message, Think, Tool
from server.prompt.rendered_prompt import RenderedPrompt
from server.prompt.thinking_history import strip_old_thinking, strips_old_thinking
from server.prompt.truncate import is_instruction
from server.rendering.client import PromptRenderer
from server.request_record import current


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A rendered prompt with the messages that fit the context, and the format of its answers."""

    prompt: RenderedPrompt
    chat_format: ChatFormat
    messages: Sequence[Message]
    tools: Sequence[Tool]
    think: Think | None
    tokens: tuple[int, ...] | None

    async def for_runner(self, lease: Lease) -> AnyText:
        """Return the prompt as the runner tokenises it."""
        prompt = without_bos(self.prompt, self.chat_format.renderer, lease.ready)
        special = self.chat_format.special
        return await in_thread_if_long(len(prompt.text), prompt.for_tokenizer, special)

    def system_bytes(self, lease: Lease) -> int:
        """Return where the system message ends in the prompt, 0 without one.

        Some templates put it into the first user message, with no token behind it.
        """
        first = self.messages[0]
        if not is_instruction(first):
            return 0
        prompt = without_bos(self.prompt, self.chat_format.renderer, lease.ready)
        return prompt.bytes_until(first.content.strip())

    def parser(self, conversation: Conversation) -> OutputParser:
        """Return a parser for one answer."""
        output = self.chat_format.format.output
        start = GenerationStart(
            tools=self.tools,
            last=self.messages[-1],
            think=self.think,
            prompt=self.prompt.text,
        )
        parser = output.create_parser(start)
        if start.prefilled or not may_call_freely(conversation):
            return parser
        max_calls = None if conversation.parallel_tool_calls else 1
        shown = output.rename_tools(self.tools)
        return LenientCallParser(parser, OfferedTools.of(self.tools, shown), max_calls=max_calls)


class ChatService:
    """Answers conversations; `long_prompts` is the setting of that name."""

    def __init__(
        self,
        planner: Planner,
        scheduler: Scheduler,
        prompts: PromptRenderer,
        decoder: MediaDecoder,
        formats: ChatFormats,
        *,
        long_prompts: LongPrompts,
    ) -> None:
        self._planner, self._scheduler, self._formats = planner, scheduler, formats
        self._prompts, self._decoder = prompts, decoder
        self._long_prompts = long_prompts

    @grow_context
    @retry_stream
    async def __call__(self, conversation: Conversation) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        if not conversation.messages and conversation.keep_alive == 0:
            key = await in_thread(self._planner.key, conversation.model, required=True)
            self._scheduler.unload(key)
            yield LoadOutcome.UNLOADED
            return
        plan = await in_thread(self._planner.plan, conversation, _check, required=True)
        options, format = plan.options, plan.format
        current().set_format(format.renderer, format.output.name, format.reason)
        if image_tags.count(conversation.messages):
            self._decoder.prepare()
        blocks = (f"{each.role} {each.content}" for each in conversation.messages)
        async with recorded_lease(self._scheduler, plan.request, blocks) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not conversation.messages:
                yield LoadOutcome.LOADED
                return
            prompt = await self._prompt(conversation, plan, lease)
            if conversation.debug_render_only:
                yield Rendered(prompt.prompt.text, image_tags.count(prompt.messages))
                return
            media = await media_of(
                self._decoder,
                prompt.messages,
                conversation.messages,
                lease.ready,
                conversation.n,
            )
            parsers = [prompt.parser(conversation) for _ in range(conversation.n)]
            constraint, must_hold = constraint_on(conversation, parsers[0])
            work = command(
                await prompt.for_runner(lease) if media or prompt.tokens is None else prompt.tokens,
                options,
                conversation,
                media=media,
                adapters=plan.request.adapters,
                n_ctx=context_of(options, lease.ready),
                constraint=constraint,
                must_hold=must_hold,
                visible=format.output.visible_tokens,
                system_bytes=prompt.system_bytes(lease),
                stop_repetition=stops_repetition(options, conversation),
            )
            async with aclosing(answers(lease.runner, work, parsers, timings)) as events:
                async for event in events:
                    yield event

    @retry_call
    async def count(self, conversation: Conversation) -> int:
        """Return the number of tokens of the prompt, without truncation."""
        plan = await in_thread(self._planner.plan, conversation, _check, required=True)
        format = plan.format
        current().set_format(format.renderer, format.output.name, format.reason)
        async with recorded_lease(self._scheduler, plan.request) as lease:
            prompt = await self._prompt(
                replace(conversation, truncate=False), plan, lease, may_grow=False
            )
            require_countable(prompt.prompt.text, context_of(plan.options, lease.ready))
            text = await prompt.for_runner(lease)
            n_tokens = len(await lease.runner.tokenize(text, add_special=True))
            return n_tokens + image_tags.TOKENS_PER_IMAGE * image_tags.count(prompt.messages)

    async def _prompt(
        self, conversation: Conversation, plan: AnswerPlan, lease: Lease, *, may_grow: bool = True
    ) -> _Prompt:
        options = plan.options
        n_ctx = context_of(options, lease.ready)
        room = Room(lease, n_ctx, conversation, options.num_predict, may_grow=may_grow)
        chat_format = await self._formats.of_model(plan, lease.runner)
        messages = with_placeholders(_history(conversation, plan.model), lease.ready)
        tools = _offered_tools(conversation)
        fitted = await fitted_prompt(
            self._prompts,
            chat_format.renderer,
            chat_format.format.output,
            messages,
            special=chat_format.special,
            tools=tools,
            think=plan.think,
            lease=lease,
            room=room,
            n_predict=options.num_predict,
            truncate=conversation.truncate,
            refuse_halved=self._long_prompts.refuses(is_agent=conversation.is_agent),
        )
        return _Prompt(
            fitted.prompt, chat_format, fitted.messages, tools, plan.think, fitted.tokens
        )


def _check(conversation: Conversation, model: Model, able: Sequence[str]) -> Think | None:
    think = effective_think(
        conversation.think, able, conversation.model, if_supported=conversation.think_if_supported
    )
    require(able, model, conversation.model, "chat", tools=bool(conversation.tools))
    return think


def _history(conversation: Conversation, model: Model) -> list[Message]:
    """Return the model's system text and messages, then those of the request."""
    system = model.system if conversation.messages[0].role != "system" else ""
    history = [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in model.messages),
        *conversation.messages,
    ]
    if strips_old_thinking(model.config.model_family, model.name.model):
        return strip_old_thinking(history)
    return history


def _offered_tools(conversation: Conversation) -> Sequence[Tool]:
    return () if conversation.tool_choice is ToolChoice.NONE else conversation.tools
