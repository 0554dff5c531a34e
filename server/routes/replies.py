"""Replies that are one JSON object, cancelled when the client disconnects."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.responses import Response

from server.http.streaming import JSON_TYPE, EventReply, Framing


def whole(
    answer: Callable[[], Awaitable[object]],
    framing: Framing | None = None,
    object_type: str = JSON_TYPE,
) -> Response:
    """Return a reply with the object that `answer` returns."""

    async def events() -> AsyncGenerator[Any, None]:
        yield await answer()

    return EventReply(events(), stream=False, fold=last, framing=framing, object_type=object_type)


def last(replies: list[Any]) -> object:
    """Return the last event, which is the whole reply."""
    return replies[-1]
