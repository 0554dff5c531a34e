"""Grow an automatic context to what a prompt needs: the model is loaded again with a larger one.

Until it is unloaded the model keeps what it has grown to. What memory does not allow is cut as it
would be without growth.
"""

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, TypeVar

from runners.host.client import RunnerClient
from runners.host.context_size import grown_context
from runners.host.scheduler import Lease
from server.inference.conversation import GenerationParams
from server.inference.text_length import begins_within
from server.prompt.rendered_prompt import RenderedPrompt

_MAX_ANSWER: Final = 1024
"""Tokens that a context grows by for an answer of unknown length, at most."""

_MARGIN: Final = 4
"""The first token of an answer, and what tokenizers and models add to a prompt."""

_ParamsT = TypeVar("_ParamsT", bound=GenerationParams)
_T = TypeVar("_T")


class ContextTooSmall(Exception):
    """The context is to grow to `n_ctx`, for a prompt that does not fit."""

    def __init__(self, n_ctx: int) -> None:
        super().__init__(n_ctx)
        self.n_ctx = n_ctx


class Room:
    """The context of a request, and to what it may grow for a prompt.

    One that has grown for this request already, as far as memory allowed, does not grow again.
    """

    def __init__(
        self,
        lease: Lease,
        n_ctx: int,
        params: GenerationParams,
        n_predict: int | None,
        *,
        may_grow: bool = True,
    ) -> None:
        self.n_ctx = n_ctx
        may_grow = may_grow and not params.least_context
        self.max_n_ctx = max(n_ctx, lease.max_n_ctx) if may_grow else n_ctx
        limit = n_predict if n_predict is not None and n_predict > 0 else _MAX_ANSWER
        self._n_answer = min(limit, _MAX_ANSWER)

    @property
    def may_grow(self) -> bool:
        """Whether a load can give more context."""
        return self.max_n_ctx > self.n_ctx

    def needs_growth(self, n_tokens: int) -> bool:
        """Whether a prompt is too long for the context, and the context can grow."""
        return self.may_grow and n_tokens > self.n_ctx - _MARGIN

    def require(self, n_tokens: int) -> None:
        """Raise ContextTooSmall for a prompt with which the context is to grow."""
        if self.needs_growth(n_tokens):
            raise ContextTooSmall(
                grown_context(self.n_ctx, n_tokens + self._n_answer, self.max_n_ctx)
            )


async def require_room(
    runner: RunnerClient, prompt: RenderedPrompt | tuple[int, ...], room: Room
) -> None:
    """Raise ContextTooSmall for a prompt with which the context is to grow."""
    if isinstance(prompt, tuple):
        room.require(len(prompt))
    elif room.needs_growth(len(prompt.encode())):
        fits = await begins_within(runner, prompt.text, room.max_n_ctx)
        room.require(len(await runner.tokenize(prompt.text)) if fits else room.max_n_ctx + 1)


def grow_context(
    stream: Callable[[Any, _ParamsT], AsyncGenerator[_T, None]],
) -> Callable[[Any, _ParamsT], AsyncGenerator[_T, None]]:
    """Make the answer to a request begin again, with more context, where it raises that it must."""

    @functools.wraps(stream)
    async def with_growth(self: Any, params: _ParamsT) -> AsyncGenerator[_T, None]:
        try:
            async with aclosing(stream(self, params)) as items:
                async for item in items:
                    yield item
            return
        except ContextTooSmall as e:
            params = replace(params, least_context=e.n_ctx)
        async with aclosing(stream(self, params)) as items:
            async for item in items:
                yield item

    return with_growth
