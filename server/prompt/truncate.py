"""Truncate a conversation to the context: drop the oldest messages, nothing inside a message."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from server.errors import TemplateBudgetExceeded, TemplateError
from server.prompt import image_tags
from server.prompt.messages import Message

_INSTRUCTING = ("system", "developer")


class _Encodable(Protocol):
    def encode(self) -> bytes:
        """Return the prompt in UTF-8, which is never shorter than its tokens."""
        ...


PromptT = TypeVar("PromptT", bound=_Encodable)
Render = Callable[[Sequence[Message]], Awaitable[PromptT]]
Count = Callable[[PromptT], Awaitable[int]]


def is_instruction(message: Message) -> bool:
    """Return whether a message is of the system or a developer, and stays."""
    return message.role in _INSTRUCTING


class Fitted(NamedTuple, Generic[PromptT]):
    """A prompt, the messages that it was made of, and its tokens where they had to be counted."""

    prompt: PromptT
    messages: Sequence[Message]
    tokens: tuple[int, ...] | None = None


async def fit_history(
    messages: Sequence[Message],
    render: Render[PromptT],
    count: Count[PromptT],
    limit: int,
    *,
    image_tokens: int = 0,
    reserve: int = 0,
    render_reordered: Render[PromptT] | None = None,
) -> Fitted[PromptT]:
    """Return the prompt of `messages`, without the oldest ones if it has over `limit` tokens.

    Instructions (of the system or a developer) and the last message always stay. Each image counts
    for `image_tokens`. A prompt that must be truncated leaves `reserve` tokens for the answer.

    What `render` refuses with TemplateError does not fit: the conversation then begins elsewhere.
    If none that it accepts fits, `render_reordered` is used, which accepts more.
    """
    renders = [render] if render_reordered is None else [render, render_reordered]
    for attempt, renderer in enumerate(renders, start=1):
        search = _Search(messages, renderer, count, limit, image_tokens)
        try:
            whole = await search.render(0)
        except TemplateBudgetExceeded:
            raise
        except TemplateError:
            if attempt == len(renders):
                raise
            continue
        if len(messages) <= 1 or await search.fits(whole):
            return whole
        search.limit -= reserve
        best = await search.longest(whole)
        if attempt == len(renders) or await search.fits(best):
            return best
    raise AssertionError


class _Search(Generic[PromptT]):
    """Finds the longest end of a conversation that fits; renders few of them.

    Dropping more messages never makes a prompt longer, so the first that fits is found by halving.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        render: Render[PromptT],
        count: Count[PromptT],
        limit: int,
        image_tokens: int,
    ) -> None:
        self._messages, self._render, self._count = messages, render, count
        self.limit, self._image_tokens = limit, image_tokens
        self._refused: set[tuple[str, bool]] = set()

    async def fits(self, fitted: Fitted[PromptT]) -> bool:
        room = self.limit - self._image_tokens * image_tags.count(fitted.messages)
        return len(fitted.prompt.encode()) <= room or await self._count(fitted.prompt) <= room

    async def render(self, start: int) -> Fitted[PromptT]:
        before, kept = self._messages[:start], self._messages[start:]
        messages = [*filter(is_instruction, before), *kept]
        return Fitted(await self._render(messages), messages)

    async def longest(self, whole: Fitted[PromptT]) -> Fitted[PromptT]:
        """Return the longest end that fits, else the shortest that is accepted."""
        low, high = 1, len(self._messages)
        best = whole
        while best is whole and high > low:
            high -= 1
            best = await self._accepted(high) or whole
        while low < high:
            middle = (low + high) // 2
            start, tried = await self._first_accepted(middle, high)
            if tried is None:
                high = middle
            elif await self.fits(tried):
                high, best = middle, tried
            else:
                low = start + 1
        return best

    async def _first_accepted(self, start: int, stop: int) -> tuple[int, Fitted[PromptT] | None]:
        for place in range(start, stop):
            if tried := await self._accepted(place):
                return place, tried
        return stop, None

    async def _accepted(self, start: int) -> Fitted[PromptT] | None:
        """Return the prompt from `start` on, None when it is refused.

        A template that refuses an answer or a result at the beginning refuses all of them there.
        """
        first = self._messages[start]
        kind = (first.role, bool(first.tool_calls))
        if kind in self._refused:
            return None
        try:
            return await self.render(start)
        except TemplateBudgetExceeded:
            raise
        except TemplateError:
            if first.role != "user":
                self._refused.add(kind)
            return None
