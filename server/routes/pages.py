"""Query parameters of lists in pages, as OpenAI's clients send them."""

import re
from collections.abc import Mapping

from server.errors import InvalidParameter
from server.openai.batches.file_store import PageQuery

_NUMBER = re.compile(r"[0-9]{1,6}")
_ORDERS = ("asc", "desc")


def page_parameters(
    default: int, maximum: int, *, ordered: bool = False
) -> list[dict[str, object]]:
    """Return the parameters in the OpenAPI description."""
    schemas: dict[str, dict[str, object]] = {
        "limit": {"type": "integer", "minimum": 1, "maximum": maximum, "default": default},
        "after": {"type": "string"},
    }
    if ordered:
        schemas["order"] = {"enum": list(_ORDERS), "default": "desc"}
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in schemas.items()
    ]


def page_query(parameters: Mapping[str, str], default: int, maximum: int) -> PageQuery:
    """Read the query of a request; raises InvalidParameter."""
    limit, order = parameters.get("limit", str(default)), parameters.get("order", "desc")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= maximum:
        raise InvalidParameter(f"limit must be a whole number from 1 to {maximum}.", "limit")
    if order not in _ORDERS:
        raise InvalidParameter("order must be asc or desc.", "order")
    return PageQuery(int(limit), order == "desc", parameters.get("after"))
