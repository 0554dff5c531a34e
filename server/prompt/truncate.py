"""Which turns of a long conversation are kept; nothing is cut inside a turn."""

from collections.abc import Awaitable, Callable, Sequence

from server.prompt.messages import Message


async def fit_history(
    messages: Sequence[Message],
    render: Callable[[Sequence[Message]], str],
    count: Callable[[str], Awaitable[int]],
    limit: int,
) -> Sequence[Message]:
    """Drop the oldest turns until the prompt has at most `limit` tokens.

    System messages and the last turn always stay. Dropping more never makes a prompt longer, so
    the first start that fits is found by halving: a long conversation costs few renderings.
    """

    async def fits(start: int) -> bool:
        text = render(_from(messages, start))
        return len(text.encode()) <= limit or await count(text) <= limit

    if len(messages) <= 1 or await fits(0):
        return messages
    low, high = 1, len(messages) - 1
    while low < high:
        middle = (low + high) // 2
        if await fits(middle):
            high = middle
        else:
            low = middle + 1
    return _from(messages, low)


def _from(messages: Sequence[Message], start: int) -> Sequence[Message]:
    return [*(m for m in messages[:start] if m.role == "system"), *messages[start:]]
