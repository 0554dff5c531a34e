"""Lists of items, page by page."""

from server.errors import BadRequest
from server.openai.responses.items import Item
from server.openai.responses.wire import ItemList


def page_of(items: list[Item], *, limit: int, newest_first: bool, after: str | None) -> ItemList:
    """Return at most `limit` of `items`, beginning behind the one with the id `after`.

    Raises:
        BadRequest: there is no such item.
    """
    ordered = items[::-1] if newest_first else items
    start = 0
    if after is not None:
        ids = [item["id"] for item in ordered]
        if after not in ids:
            raise BadRequest("after must be the id of one of the items")
        start = ids.index(after) + 1
    found = ordered[start : start + limit]
    return ItemList(
        data=found,
        first_id=found[0]["id"] if found else None,
        last_id=found[-1]["id"] if found else None,
        has_more=start + limit < len(ordered),
    )
