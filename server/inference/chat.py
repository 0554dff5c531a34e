"""Conversations, continued."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from model_store.model import Model
from model_store.options import Options
from model_store.store import Store
from runners.host.scheduler import Lease, Scheduler
from server.capabilities import capabilities
from server.concurrency.threads import in_thread
from server.formats import Format, choose, renderer_of
from server.inference.answers import answers
from server.inference.checks import effective_think, require
from server.inference.conversation import (
    Conversation,
    Events,
    LoadOutcome,
    Rendered,
    ToolChoice,
)
from server.inference.generation import Timings, command, context_of
from server.inference.media import media_of
from server.inference.model_request import model_key, model_request
from server.inference.models import find_model
from server.inference.options import merged_options
from server.inference.prompting import fitted_prompt, for_tokenizer
from server.inference.tool_choice import constraint_on
from server.parsing.output_format import GenerationStart
from server.parsing.parser import OutputParser
from server.prompt import image_tags
from server.prompt.messages import Message, Think, Tool
from server.prompt.renderer import Renderer
from server.prompt.thinking_history import strip_old_thinking, strips_old_thinking
from server.rendering.client import PromptRenderer
from server.request_record import current


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What fits of a conversation, as the runner will see it, and how to read what comes back."""

    text: str
    renderer: Renderer
    format: Format
    messages: Sequence[Message]
    tools: Sequence[Tool]
    think: Think | None

    def parser(self) -> OutputParser:
        """Return a parser for one answer."""
        return self.format.output.create_parser(
            GenerationStart(
                tools=self.tools, last=self.messages[-1], think=self.think, prompt=self.text
            )
        )


class ChatService:
    """Continues conversations; `go_template` is the setting of that name."""

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

    async def __call__(self, asked: Conversation) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        model = find_model(self._store, asked.model, required=True)
        if not asked.messages and asked.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield LoadOutcome.UNLOADED
            return
        format = await in_thread(choose, model, self._go_template)
        current().set_format(format.renderer, format.output.name, format.reason)
        think = _check(asked, model, format)
        options = merged_options(model.parameters, asked.options)
        async with self._scheduler.lease(model_request(model, options, asked.keep_alive)) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not asked.messages:
                yield LoadOutcome.LOADED
                return
            prompt = await self._prompt(
                asked, model, format, lease=lease, options=options, think=think
            )
            if asked.debug_render_only:
                yield Rendered(prompt.text, image_tags.count(prompt.messages))
                return
            media = await media_of(prompt.messages, asked.messages, lease.ready, asked.n)
            parsers = [prompt.parser() for _ in range(asked.n)]
            constraint, must_hold = constraint_on(asked, parsers[0])
            work = command(
                for_tokenizer(prompt.text, prompt.renderer, lease.ready),
                options,
                asked,
                media=media,
                n_ctx=context_of(options, lease.ready),
                constraint=constraint,
                must_hold=must_hold,
                visible=format.output.visible_tokens,
            )
            async with aclosing(answers(lease.runner, work, parsers, timings)) as events:
                async for event in events:
                    yield event

    async def count(self, asked: Conversation) -> int:
        """Return how many tokens the prompt of `asked` has, nothing of it cut."""
        model = find_model(self._store, asked.model, required=True)
        format = await in_thread(choose, model, self._go_template)
        current().set_format(format.renderer, format.output.name, format.reason)
        think = _check(asked, model, format)
        options = merged_options(model.parameters, asked.options)
        async with self._scheduler.lease(model_request(model, options, asked.keep_alive)) as lease:
            whole = replace(asked, truncate=False)
            prompt = await self._prompt(
                whole, model, format, lease=lease, options=options, think=think
            )
            text = for_tokenizer(prompt.text, prompt.renderer, lease.ready)
            n_tokens = len(await lease.runner.tokenize(text, add_special=True))
            return n_tokens + image_tags.TOKENS_PER_IMAGE * image_tags.count(prompt.messages)

    async def _prompt(
        self,
        asked: Conversation,
        model: Model,
        format: Format,
        *,
        lease: Lease,
        options: Options,
        think: Think | None,
    ) -> _Prompt:
        renderer = await in_thread(renderer_of, model, format)
        messages, tools = _history(asked, model), _offered(asked)
        text, used = await fitted_prompt(
            self._prompts,
            renderer,
            format.output,
            messages,
            tools=tools,
            think=think,
            lease=lease,
            n_ctx=context_of(options, lease.ready),
            n_predict=options.num_predict,
            truncate=asked.truncate,
        )
        return _Prompt(text, renderer, format, used, tools, think)


def _check(asked: Conversation, model: Model, format: Format) -> Think | None:
    able = capabilities(model, format)
    think = effective_think(asked.think, able, asked.model, if_able=asked.think_if_able)
    require(able, model, asked.model, "chat", tools=bool(asked.tools))
    return think


def _history(asked: Conversation, model: Model) -> list[Message]:
    """Put the model's system text and messages before those of the request."""
    system = model.system if asked.messages[0].role != "system" else ""
    history = [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in model.messages),
        *asked.messages,
    ]
    if strips_old_thinking(model.config.model_family, model.name.model):
        return strip_old_thinking(history)
    return history


def _offered(asked: Conversation) -> Sequence[Tool]:
    return () if asked.tool_choice is ToolChoice.NONE else asked.tools
