"""Responses: made, remembered, found again, cancelled while they are made."""

import asyncio
import sqlite3
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import msgspec

from server.errors import BadRequest, NotFound
from server.http.json_encoding import encode
from server.inference.conversation import Conversation, Delta, Event, Events, Finish
from server.openai.responses.events import StreamEvent
from server.openai.responses.items import Item, input_items, remote_images
from server.openai.responses.reply import ResponseStream
from server.openai.responses.request import conversation_of
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.store import Kept, Missing, StoredResponses, TooLarge

Answers = AsyncGenerator[StreamEvent, None]


@dataclass(eq=False)
class _UnderWay:
    """A response that is being made, by `task`."""

    stream: ResponseStream
    task: "asyncio.Task[object]"
    is_cancelled: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def cancel(self) -> None:
        """End it unless it has its end already, and wait until nobody works on it."""
        if self.stream.response.status == "in_progress" and not self.is_cancelled:
            # Once only: a second time would stop it in the middle of its last events.
            self.is_cancelled = True
            self.task.cancel()
        await self.ended.wait()
        if self.stream.response.status == "in_progress":
            # Its client was not reading, so that nothing more could be sent, and nothing was kept.
            for _ in self.stream.cancel():
                pass
            self.stream.last(store=False)


class ResponsesService:
    """Makes responses of what `chat` answers, and keeps them in `stored`.

    `fetch` returns remote images by their addresses, or refuses.
    """

    def __init__(
        self,
        chat: Callable[[Conversation], Events],
        stored: StoredResponses,
        fetch: Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]],
    ) -> None:
        self._chat, self._stored, self._fetch = chat, stored, fetch
        self._under_way: dict[str, _UnderWay] = {}

    async def __call__(self, request: ResponsesRequest, stream: ResponseStream) -> Answers:
        """Yield the events of the response that `stream` writes."""
        items = input_items(request.input)
        history = await self._history(request.previous_response_id)
        fetched = await self._fetch(remote_images((*history, *items)))
        conversation = conversation_of(request, items, history, fetched)
        # Nothing was said where there is nothing to answer: the model was only loaded.
        keeps = request.store and bool(conversation.messages) and await self._stored.is_ready()
        with self._listed(stream) as own:
            try:
                async with aclosing(self._chat(conversation)) as events:
                    begun = False
                    async for event in events:
                        if not begun:
                            for piece in stream.begin(store=keeps):
                                yield piece
                            begun = True
                        for piece in _pieces(stream, event):
                            yield piece
            except asyncio.CancelledError:
                if not own.is_cancelled:
                    raise
                own.task.uncancel()
                for piece in stream.cancel():
                    yield piece
            if keeps:
                keeps = await self._keep(stream, items, request.previous_response_id)
            yield stream.last(store=keeps)

    async def get(self, id: str) -> bytes:
        """Return a response as JSON: one that is kept, or is being made.

        Raises:
            NotFound: there is none with this id.
        """
        if own := self._under_way.get(id):
            return encode(own.stream.response)
        return (await self._kept(id)).response

    async def input_items(self, id: str) -> list[Item]:
        """Return what a response answers, oldest first; raises NotFound."""
        found: list[Item] = msgspec.json.decode((await self._kept(id)).input)
        return found

    async def delete(self, id: str) -> None:
        """Forget a response; raises NotFound."""
        try:
            await self._stored.delete(id)
        except (Missing, sqlite3.Error, OSError):
            raise _not_found(id) from None

    async def cancel(self, id: str) -> bytes:
        """End a response that is being made, and return it; one that has ended stays as it is.

        Raises:
            NotFound: there is none with this id.
        """
        if own := self._under_way.get(id):
            await own.cancel()
            return encode(own.stream.response)
        return (await self._kept(id)).response

    @contextmanager
    def _listed(self, stream: ResponseStream) -> Iterator[_UnderWay]:
        """List the response as one that can be cancelled, while it is made."""
        task = asyncio.current_task()
        assert task is not None
        own = self._under_way[stream.response.id] = _UnderWay(stream, task)
        try:
            yield own
        finally:
            del self._under_way[stream.response.id]
            own.ended.set()

    async def _keep(
        self, stream: ResponseStream, items: Iterable[Item], previous: str | None
    ) -> bool:
        response = stream.last(store=True).response
        kept = Kept(response.id, encode(items), encode(response))
        return await self._stored.put(kept, previous)

    async def _kept(self, id: str) -> Kept:
        try:
            return await self._stored.get(id)
        except (Missing, sqlite3.Error, OSError):
            raise _not_found(id) from None

    async def _history(self, previous: str | None) -> list[Item]:
        """Return the items of the conversation that ends with the response `previous`."""
        if previous is None:
            return []
        try:
            chain = await self._stored.history(previous)
        except Missing as e:
            raise BadRequest(f"Previous response with id '{e.id}' not found.") from None
        except TooLarge:
            raise BadRequest(
                "the conversation before this response is too large; begin a new one"
            ) from None
        except (sqlite3.Error, OSError):
            raise BadRequest("responses are not kept here; send the whole conversation") from None
        return [item for kept in chain for item in _items(kept)]


def _pieces(stream: ResponseStream, event: Event) -> Iterator[StreamEvent]:
    if isinstance(event, Delta):
        yield from stream.add(event)
    else:
        # Where nobody says anything the model is only loaded, and the answer is empty.
        yield from stream.finish(event if isinstance(event, Finish) else Finish())


def _items(kept: Kept) -> list[Item]:
    said: list[Item] = msgspec.json.decode(kept.input)
    answer: Mapping[str, list[Item]] = msgspec.json.decode(kept.response)
    return [*said, *answer["output"]]


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id}' not found.")
