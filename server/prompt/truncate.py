"""Which turns of a long conversation are kept; nothing is cut inside a turn."""

from collections.abc import Awaitable, Callable, Sequence

from server.prompt.messages import Message


async def fit_history(
    messages: Sequence[Message],
    render: Callable[[Sequence[Message]], Awaitable[str]],
    count: Callable[[str], Awaitable[int]],
    limit: int,
) -> str:
    """Return the prompt of `messages`, without the oldest turns if it has over `limit` tokens.

    System messages and the last turn always stay. Dropping more never makes a prompt longer, so
    the first start that fits is found by halving: a long conversation costs few renderings.
    """

    async def fits(text: str) -> bool:
        return len(text.encode()) <= limit or await count(text) <= limit

    prompt = await render(messages)
    if len(messages) <= 1 or await fits(prompt):
        return prompt
    low, high = 1, len(messages) - 1
    prompt = await render(_from(messages, high))
    while low < high:
        middle = (low + high) // 2
        text = await render(_from(messages, middle))
        if await fits(text):
            high, prompt = middle, text
        else:
            low = middle + 1
    return prompt


def _from(messages: Sequence[Message], start: int) -> Sequence[Message]:
    return [*(m for m in messages[:start] if m.role == "system"), *messages[start:]]
