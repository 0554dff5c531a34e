"""Conversations, continued."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from model_store.model import Model
from model_store.store import Store
from runners.host.scheduler import Lease, Scheduler
from runners.protocol.constraints import Choice, Constraint
from server.capabilities import capabilities
from server.errors import BadRequest
from server.inference.answers import answers
from server.inference.checks import effective_think, require
from server.inference.conversation import (
    Conversation,
    Events,
    NamedTool,
    Rendered,
    Residence,
    ToolChoice,
)
from server.inference.formats import Format, format_of
from server.inference.generation import Timings, command, context_of
from server.inference.loading import model_key, model_request
from server.inference.models import find_model
from server.inference.pictures import pictures_of
from server.inference.prompting import fitted_prompt
from server.parsing.parser import OutputParser
from server.prompt import images
from server.prompt.messages import Message, Think, Tool
from server.schemas.options import Options, merged_options


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The part of a conversation that fits, as the runner will see it, and how to read the rest."""

    text: str
    format: Format
    messages: Sequence[Message]
    tools: Sequence[Tool]
    think: Think | None

    def parser(self) -> OutputParser:
        """Return a parser for one answer."""
        return self.format.reading(self.text, self.tools, self.messages[-1], self.think)


class ChatService:
    """Continues conversations; `go_template` is the setting of that name."""

    def __init__(self, store: Store, scheduler: Scheduler, *, go_template: bool | None) -> None:
        self._store, self._scheduler, self._go_template = store, scheduler, go_template

    async def __call__(self, asked: Conversation) -> Events:
        """Yield the events of the answers; see `conversation.Event`."""
        started = time.perf_counter_ns()
        model = find_model(self._store, asked.model, required=True)
        if not asked.messages and asked.keep_alive == 0:
            self._scheduler.unload(model_key(model))
            yield Residence.UNLOADED
            return
        think = self._check(asked, model)
        options = merged_options(model.parameters, asked.options)
        async with self._scheduler.lease(model_request(model, options, asked.keep_alive)) as lease:
            timings = Timings(started, time.perf_counter_ns())
            if not asked.messages:
                yield Residence.LOADED
                return
            prompt = await self._prompt(asked, model, lease, options, think)
            if asked.debug_render_only:
                yield Rendered(prompt.text, images.count(prompt.messages))
                return
            pictures = await pictures_of(prompt.messages, asked.messages, lease.ready)
            parsers = [prompt.parser() for _ in range(asked.n)]
            constraint, must_hold = _constraint(asked, prompt.tools, parsers[0])
            work = command(
                prompt.text,
                options,
                asked,
                pictures=pictures,
                n_ctx=context_of(options, lease.ready),
                constraint=constraint,
                must_hold=must_hold,
                visible=prompt.format.visible,
            )
            async with aclosing(answers(lease.runner, work, parsers, timings)) as events:
                async for event in events:
                    yield event

    async def count(self, asked: Conversation) -> int:
        """Return how many tokens the prompt of `asked` has, nothing of it cut."""
        model = find_model(self._store, asked.model, required=True)
        think = self._check(asked, model)
        options = merged_options(model.parameters, asked.options)
        async with self._scheduler.lease(model_request(model, options, asked.keep_alive)) as lease:
            text, used = await fitted_prompt(
                lambda: format_of(model, self._go_template).renderer,
                _history(asked, model),
                tools=_offered(asked),
                think=think,
                lease=lease,
                n_ctx=context_of(options, lease.ready),
                truncate=False,
            )
            n_tokens = len(await lease.runner.tokenize(text, add_special=True))
            return n_tokens + images.TOKENS * images.count(used)

    def _check(self, asked: Conversation, model: Model) -> Think | None:
        able = capabilities(model, self._go_template)
        think = effective_think(asked.think, able, asked.model, if_able=asked.think_if_able)
        require(able, model, asked.model, "chat", tools=bool(asked.tools))
        return think

    async def _prompt(
        self,
        asked: Conversation,
        model: Model,
        lease: Lease,
        options: Options,
        think: Think | None,
    ) -> _Prompt:
        messages, tools = _history(asked, model), _offered(asked)
        text, used = await fitted_prompt(
            lambda: format_of(model, self._go_template).renderer,
            messages,
            tools=tools,
            think=think,
            lease=lease,
            n_ctx=context_of(options, lease.ready),
            truncate=asked.truncate,
        )
        # What the other thread parsed is remembered.
        format = format_of(model, self._go_template)
        return _Prompt(text, format, used, tools, think)


def _history(asked: Conversation, model: Model) -> list[Message]:
    """Put the model's system text and messages before those of the request."""
    system = model.system if asked.messages[0].role != "system" else ""
    return [
        *(Message("system", text) for text in (system,) if text),
        *(Message(m.role, m.content) for m in model.messages),
        *asked.messages,
    ]


def _offered(asked: Conversation) -> Sequence[Tool]:
    return () if asked.tool_choice is ToolChoice.NONE else asked.tools


def _constraint(
    asked: Conversation, tools: Sequence[Tool], parser: OutputParser
) -> tuple[Constraint | None, bool]:
    """Return what the raw text of an answer must look like, and whether the request insists.

    Raises:
        BadRequest: calls are demanded, but there are no tools, or the model's format has no
            syntax for them.
    """
    most = None if asked.parallel_tool_calls else 1
    if asked.tool_choice is ToolChoice.REQUIRED or isinstance(asked.tool_choice, NamedTool):
        demanded = parser.calling(_demanded(asked), least=1, most=most)
        if demanded is None:
            raise BadRequest(
                f'"{asked.model}" cannot be made to call a tool: the form in which it writes '
                "calls is not known"
            )
        return demanded, True
    body = None if asked.constraint is None else parser.framed(asked.constraint)
    if not tools:
        return body, True
    calling = parser.calling(tools, least=0 if body is None else 1, most=most)
    if body is None:
        return calling, False
    return (body if calling is None else Choice((body, calling))), True


def _demanded(asked: Conversation) -> Sequence[Tool]:
    """Return the tools one of which must be called."""
    choice = asked.tool_choice
    if not isinstance(choice, NamedTool):
        found = asked.tools
    else:
        found = tuple(tool for tool in asked.tools if tool.name == choice.name)
        if not found:
            raise BadRequest(f'the tool "{choice.name}" that must be called is not among the tools')
    if not found:
        raise BadRequest("a tool must be called, but the request has no tools")
    return found
