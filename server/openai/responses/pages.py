"""Pages of the input items of a response."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import BadRequest
from server.openai.responses.items import Item
from server.openai.responses.wire import ItemList

_NUMBER = re.compile(r"[0-9]{1,3}")
_MAX_LIMIT = 100
_ORDERS = ("asc", "desc")

PARAMETERS: list[dict[str, object]] = [
    {"name": name, "in": "query", "required": False, "schema": schema}
    for name, schema in (
        ("limit", {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 20}),
        ("order", {"enum": list(_ORDERS), "default": "desc"}),
        ("after", {"type": "string"}),
    )
]
"""The query parameters in the OpenAPI description."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page to return: at most `limit` items, after the one with the id `after`."""

    limit: int = 20
    newest_first: bool = True
    after: str | None = None


def page_query(parameters: Mapping[str, str]) -> PageQuery:
    """Read the query of a request; raises BadRequest."""
    limit, order = parameters.get("limit", "20"), parameters.get("order", "desc")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _MAX_LIMIT:
        raise BadRequest(f"limit must be a whole number from 1 to {_MAX_LIMIT}")
    if order not in _ORDERS:
        raise BadRequest("order must be asc or desc")
    return PageQuery(int(limit), order == "desc", parameters.get("after"))


def page_of(items: list[Item], query: PageQuery) -> ItemList:
    """Return the page of `items`, which are oldest first.

    Raises:
        BadRequest: no item has the id `after`.
    """
    ordered = items[::-1] if query.newest_first else items
    start = 0
    if query.after is not None:
        ids = [item["id"] for item in ordered]
        if query.after not in ids:
            raise BadRequest("after must be the id of one of the items")
        start = ids.index(query.after) + 1
    page = ordered[start : start + query.limit]
    return ItemList(
        data=page,
        first_id=page[0]["id"] if page else None,
        last_id=page[-1]["id"] if page else None,
        has_more=start + query.limit < len(ordered),
    )
