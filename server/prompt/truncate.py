"""Which turns of a long conversation are kept; nothing is cut inside a turn."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from server.prompt import image_tags
from server.prompt.messages import Message

_INSTRUCTING = ("system", "developer")


class Fitted(NamedTuple):
    """A prompt, and the messages that it was made of."""

    prompt: str
    messages: Sequence[Message]


async def fit_history(
    messages: Sequence[Message],
    render: Callable[[Sequence[Message]], Awaitable[str]],
    count: Callable[[str], Awaitable[int]],
    limit: int,
    *,
    image_tokens: int = 0,
) -> Fitted:
    """Return the prompt of `messages`, without the oldest turns if it has over `limit` tokens.

    Instructions (of the system or a developer) and the last turn always stay. Each image counts
    for `image_tokens`. Dropping more never makes a prompt longer, so the first start that fits is
    found by halving: a long conversation costs few renderings.
    """

    async def fits(tried: Fitted) -> bool:
        room = limit - image_tokens * image_tags.count(tried.messages)
        return len(tried.prompt.encode()) <= room or await count(tried.prompt) <= room

    async def render_from(start: int) -> Fitted:
        kept = _from(messages, start)
        return Fitted(await render(kept), kept)

    best = await render_from(0)
    if len(messages) <= 1 or await fits(best):
        return best
    low, high = 1, len(messages) - 1
    best = await render_from(high)
    while low < high:
        middle = (low + high) // 2
        tried = await render_from(middle)
        if await fits(tried):
            high, best = middle, tried
        else:
            low = middle + 1
    return best


def _from(messages: Sequence[Message], start: int) -> Sequence[Message]:
    return [*(m for m in messages[:start] if m.role in _INSTRUCTING), *messages[start:]]
