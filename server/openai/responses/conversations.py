"""Create, list, change and delete conversations, whose items responses add to."""

import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from server.errors import BadRequest, BodyTooLarge, NotFound, ServerBusy, Unsupported
from server.http.json_encoding import encode
from server.openai.responses.conversation_store import (
    ConversationMissing,
    ConversationStore,
    ConversationTooLarge,
    StoredConversation,
    StoredItem,
)
from server.openai.responses.items import REFERENCE, Item, input_items
from server.openai.responses.pages import PageQuery, page_of
from server.openai.responses.wire import Conversation, ConversationDeleted, ItemList
from server.request_record import current

MAX_ITEMS = 20
MAX_BYTES = 20 << 20
"""Of the items that are added at a time: they are in memory as read, parsed, stored and listed."""


class Conversations:
    """The conversations in `store`, in terms of the API; each belongs to an API key, if any."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    async def create(self, metadata: Mapping[str, object], items: object) -> Conversation:
        """Create a conversation with its first items.

        Raises:
            BadRequest: an item is invalid.
            BodyTooLarge: the items are too large to be added at a time.
            Unsupported: this server stores nothing.
        """
        first = _added(_items_of(items))
        self._require_kept()
        with _translated("", ""):
            return _conversation(
                await self._store_of_caller().create(
                    f"conv_{secrets.token_hex(16)}", encode(metadata), first
                )
            )

    async def get(self, id: str) -> Conversation:
        """Return a conversation; raises NotFound."""
        with _translated(id, ""):
            return _conversation(await self._store_of_caller().get(id))

    async def update(self, id: str, metadata: Mapping[str, object]) -> Conversation:
        """Replace the metadata of a conversation; raises NotFound."""
        with _translated(id, ""):
            return _conversation(await self._store_of_caller().update(id, encode(metadata)))

    async def delete(self, id: str) -> ConversationDeleted:
        """Delete a conversation with its items; raises NotFound."""
        with _translated(id, ""):
            await self._store_of_caller().delete(id)
        return ConversationDeleted(id)

    async def add(self, id: str, items: object) -> ItemList:
        """Add items to a conversation, and return them.

        Raises:
            BadRequest: an item is invalid.
            BodyTooLarge: the items are too large to be added at a time.
            NotFound: there is no such conversation.
        """
        added = _items_of(items)
        with _translated(id, ""):
            await self._store_of_caller().append(id, _added(added))
        return page_of(added, PageQuery(limit=max(1, len(added)), newest_first=False))

    async def append(self, id: str, items: Sequence[Item]) -> None:
        """Add any number of items to a conversation; raises NotFound."""
        with _translated(id, ""):
            await self._store_of_caller().append(id, _stored(items))

    async def items(self, id: str) -> list[Item]:
        """Return the items of a conversation, oldest first.

        Raises:
            NotFound: there is no such conversation.
            BadRequest: it is larger than a request may be.
        """
        with _translated(id, ""):
            return [
                msgspec.json.decode(stored.item)
                for stored in await self._store_of_caller().items(id)
            ]

    async def item(self, id: str, item: str) -> Item:
        """Return one item; raises NotFound."""
        with _translated(id, item):
            [stored] = await self._store_of_caller().items(id, item)
        found: Item = msgspec.json.decode(stored.item)
        return found

    async def delete_item(self, id: str, item: str) -> Conversation:
        """Delete an item and return its conversation; raises NotFound."""
        with _translated(id, item):
            return _conversation(await self._store_of_caller().delete_item(id, item))

    def _store_of_caller(self) -> ConversationStore:
        return self._store.of(current().caller.id)

    def _require_kept(self) -> None:
        if not self._store.is_kept:
            raise Unsupported("this server keeps no conversations, see PADDOCK_KEEP_RESPONSES")


def _items_of(value: object) -> list[Item]:
    items = input_items(value)
    if len(items) > MAX_ITEMS:
        raise BadRequest(f"at most {MAX_ITEMS} items can be added at a time")
    if any(item["type"] == REFERENCE for item in items):
        raise BadRequest("an item of a conversation must be sent as a whole, not by reference")
    return items


def _added(items: Sequence[Item]) -> list[StoredItem]:
    """Return what is stored of the items of a request; raises BodyTooLarge."""
    stored = _stored(items)
    if sum(len(each.item) for each in stored) > MAX_BYTES:
        raise BodyTooLarge(MAX_BYTES, "list of items")
    return stored


def _stored(items: Sequence[Item]) -> list[StoredItem]:
    return [StoredItem(item["id"], encode(item)) for item in items]


def _conversation(stored: StoredConversation) -> Conversation:
    return Conversation(
        id=stored.id,
        created_at=int(stored.created),
        metadata=msgspec.json.decode(stored.metadata),
    )


@contextmanager
def _translated(id: str, item: str) -> Iterator[None]:
    """Turn errors of the store into those of the API."""
    try:
        yield
    except ConversationMissing:
        what = f"Item with id '{item}'" if item else f"Conversation with id '{id}'"
        raise NotFound(f"{what} not found.") from None
    except ConversationTooLarge:
        raise BadRequest("the conversation is too large; start a new one") from None
    except (sqlite3.Error, OSError):
        raise ServerBusy("conversations cannot be read or stored at the moment") from None
