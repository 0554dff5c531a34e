"""Lists of items, page by page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import BadRequest
from server.openai.responses.items import Item
from server.openai.responses.wire import ItemList

_NUMBER = re.compile(r"[0-9]{1,3}")
_MOST = 100
_ORDERS = ("asc", "desc")

PARAMETERS: list[dict[str, object]] = [
    {"name": name, "in": "query", "required": False, "schema": schema}
    for name, schema in (
        ("limit", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 20}),
        ("order", {"enum": list(_ORDERS), "default": "desc"}),
        ("after", {"type": "string"}),
    )
]
"""What the description of the API tells of a page's query."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page is wanted: at most `limit` items, behind the one with the id `after`."""

    limit: int = 20
    newest_first: bool = True
    after: str | None = None


def page_query(parameters: Mapping[str, str]) -> PageQuery:
    """Read the query of a request; raises BadRequest."""
    limit, order = parameters.get("limit", "20"), parameters.get("order", "desc")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _MOST:
        raise BadRequest(f"limit must be a whole number from 1 to {_MOST}")
    if order not in _ORDERS:
        raise BadRequest("order must be asc or desc")
    return PageQuery(int(limit), order == "desc", parameters.get("after"))


def page_of(items: list[Item], query: PageQuery) -> ItemList:
    """Return the page of `items`, which are oldest first.

    Raises:
        BadRequest: there is no item behind which it could begin.
    """
    ordered = items[::-1] if query.newest_first else items
    start = 0
    if query.after is not None:
        ids = [item["id"] for item in ordered]
        if query.after not in ids:
            raise BadRequest("after must be the id of one of the items")
        start = ids.index(query.after) + 1
    found = ordered[start : start + query.limit]
    return ItemList(
        data=found,
        first_id=found[0]["id"] if found else None,
        last_id=found[-1]["id"] if found else None,
        has_more=start + query.limit < len(ordered),
    )
