"""Render prompts: families in a thread, untrusted templates in worker processes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from server.concurrency.threads import in_thread
from server.errors import ServerBusy, TemplateBudgetExceeded, TemplateError
from server.isolation.errors import Crashed, Overrun, Unavailable
from server.isolation.limits import Limits
from server.isolation.pool import WorkerPool
from server.isolation.process import WorkerProcess
from server.prompt.messages import Think
from server.prompt.renderer import Renderer
from server.prompt.renderers.family_renderer import FamilyRenderer
from server.prompt.roles import in_known_roles
from server.prompt.template import GoTemplate
from server.rendering.messages import (
    Job,
    RenderChat,
    Rendered,
    RenderInput,
    RenderSuffix,
    decode_answer,
    encode_job,
)

LIMITS: Final = Limits(
    cpu_seconds=2.0, wall_seconds=10.0, memory_bytes=160 << 20, answer_bytes=64 << 20
)
"""Of a worker. The longest contexts in use are a few megabytes of text, rendered in a second."""
MAX_WORKERS: Final = 4
_TOO_MUCH: Final = "the model's chat template takes too much time or space"
_CRASH: Final = "the model's chat template crashes the process that renders it"
_MAX_SHARE: Final = 3
"""A job may be as large as this part of a worker's memory."""


class Jobs(Protocol):
    """What answers encoded jobs, as `WorkerPool` does."""

    async def call(self, job: bytes, key: object = None) -> bytes | memoryview:
        """Return the encoded answer; raises a WorkerError."""


def rendering_pool() -> WorkerPool:
    """Return the worker processes that render; one of them stays when there is nothing to do."""

    async def start() -> WorkerProcess:
        return await WorkerProcess.start("server.rendering", LIMITS)

    return WorkerPool(start, size=MAX_WORKERS, n_kept=1)


class PromptRenderer:
    """Turns conversations into prompts, whatever writes them."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def render(self, renderer: Renderer, render_input: RenderInput) -> str:
        """Return the prompt of one conversation.

        Raises:
            TemplateError: the template fails, or takes too much time or memory.
            ServerBusy: there is no worker process for it.
        """
        [result] = await self.render_each(renderer, [render_input])
        if isinstance(result, TemplateError):
            raise result
        return result

    async def render_each(
        self, renderer: Renderer, inputs: Sequence[RenderInput]
    ) -> list[str | TemplateError]:
        """Return a prompt for each conversation, or why it has none; one round trip for all.

        Raises:
            TemplateError: all together take too much time or memory.
            ServerBusy: there is no worker process for it.
        """
        if isinstance(renderer, FamilyRenderer):
            return await in_thread(_render_family, renderer, inputs)
        template = renderer.source if isinstance(renderer, GoTemplate) else renderer
        return await self._call(RenderChat(template, [_without_files(each) for each in inputs]))

    async def render_suffix(
        self, template: GoTemplate, prompt: str, suffix: str, think: Think | None
    ) -> str:
        """Return the prompt for the text between `prompt` and `suffix`; raises as `render`."""
        [result] = await self._call(RenderSuffix(template.source, prompt, suffix, think))
        if isinstance(result, TemplateError):
            raise result
        return result

    async def _call(self, job: Job) -> list[str | TemplateError]:
        try:
            data = encode_job(job)
        except RecursionError:
            raise TemplateError("a tool or a tool call is nested too deeply") from None
        if len(data) > LIMITS.memory_bytes // _MAX_SHARE:
            raise TemplateBudgetExceeded(_TOO_MUCH)
        try:
            answer = decode_answer(await self._jobs.call(data, key=job.template))
        except Overrun:
            raise TemplateBudgetExceeded(_TOO_MUCH) from None
        except (Crashed, msgspec.MsgspecError):
            raise TemplateBudgetExceeded(_CRASH) from None
        except Unavailable:
            raise ServerBusy("the server is too busy to render the prompt, try again") from None
        return [
            each.text if isinstance(each, Rendered) else TemplateError(each.error)
            for each in answer
        ]


def _render_family(
    family: FamilyRenderer, inputs: Sequence[RenderInput]
) -> list[str | TemplateError]:
    results: list[str | TemplateError] = []
    for each in inputs:
        try:
            messages = in_known_roles(each.messages, family)
            results.append(family.render(messages, each.tools, each.think, as_sent=each.as_sent))
        except TemplateError as e:
            results.append(e)
    return results


def _without_files(render_input: RenderInput) -> RenderInput:
    """Leave out the contents of images, which no template needs; their number stays."""
    if not any(message.images for message in render_input.messages):
        return render_input
    messages = [
        replace(message, images=(b"",) * len(message.images)) if message.images else message
        for message in render_input.messages
    ]
    return msgspec.structs.replace(render_input, messages=messages)
