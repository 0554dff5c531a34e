"""Replies of one object that takes time to make."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.responses import Response

from server.http.streaming import JSON_TYPE, EventReply, Framing


def whole(
    answer: Callable[[], Awaitable[object]],
    framing: Framing | None = None,
    object_type: str = JSON_TYPE,
) -> Response:
    """Reply with the object that `answer` returns; it is cancelled when the client leaves."""

    async def events() -> AsyncGenerator[Any, None]:
        yield await answer()

    return EventReply(events(), stream=False, fold=last, framing=framing, object_type=object_type)


def last(replies: list[Any]) -> object:
    """Return the only object of a reply that is not collected from pieces."""
    return replies[-1]
