"""Rendering in the test's own process, for templates that do no harm, and in real workers."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

from model_store.gguf import ChatTemplate
from server.isolation.pool import WorkerPool
from server.isolation.process import WorkerProcess
from server.prompt.messages import Message, Think
from server.prompt.renderer import Renderer
from server.prompt.template import GoTemplate
from server.rendering.client import LIMITS, PromptRenderer
from server.rendering.go import GoRenderer
from server.rendering.jinja import JinjaRenderer
from server.rendering.jobs import answer
from server.rendering.messages import RenderInput

T = TypeVar("T")


class InlineJobs:
    """Answers jobs as a rendering worker does, without a process of its own."""

    async def call(self, job: bytes, key: object = None) -> bytes:
        return answer(job)


def go_renderer(source: str) -> GoRenderer:
    """Return a renderer of a Go template."""
    return GoRenderer(GoTemplate(source))


def jinja_renderer(source: str, *, bos: str = "", eos: str = "") -> JinjaRenderer:
    """Return a renderer of a Jinja template."""
    return JinjaRenderer(ChatTemplate(source, bos, eos))


def prompt_of(renderer: Renderer, *messages: Message) -> str:
    """Return the prompt that a renderer of any kind writes."""
    if isinstance(renderer, GoTemplate):
        return GoRenderer(renderer).render(messages, (), None)
    if isinstance(renderer, ChatTemplate):
        return JinjaRenderer(renderer).render(messages, (), None)
    return renderer.render(messages, (), None)


class RenderingProcesses:
    """A pool of real workers with an event loop in a thread, for tests that are not async.

    Jobs get little CPU time, so that a template without end does not keep a test waiting.
    """

    def __init__(self, *, cpu_seconds: float = 0.3) -> None:
        self._limits = replace(LIMITS, cpu_seconds=cpu_seconds, wall_seconds=60.0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._pool = self._do(self._open())
        self._prompts = PromptRenderer(self._pool)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._pool.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def jinja(self, source: str, messages: Sequence[Message] = (), *rest: Any) -> str:
        """Return what a Jinja template prints for messages, tools and think."""
        return self.render(ChatTemplate(source), messages, *rest)

    def go(self, source: str, messages: Sequence[Message] = (), *rest: Any) -> str:
        """Return what a Go template prints for messages, tools and think."""
        return self.render(GoTemplate(source), messages, *rest)

    def suffix(self, source: str, prompt: str, suffix: str, think: Think | None) -> str:
        """Return what a Go template prints for the text between two others."""
        return self._do(self._prompts.render_suffix(GoTemplate(source), prompt, suffix, think))

    def render(self, template: Renderer, messages: Sequence[Message], *rest: Any) -> str:
        return self._do(self._prompts.render(template, RenderInput(messages, *rest)))

    async def _open(self) -> WorkerPool:
        return WorkerPool(partial(WorkerProcess.start, "server.rendering", self._limits), size=2)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
