"""What peers tell each other: the header of their requests, and the parts of lists they read."""

from typing import Final

import msgspec
from starlette.types import Scope

PEER_HEADER: Final = "x-paddock-peer"
"""Has the id of the server that sends it. A request with it is answered here or not at all, so that
servers that are each other's peers never send one in a circle."""
LARGEST_LIST: Final = 16 << 20
"""Bytes of a list of models that are read."""


class ListedModel(msgspec.Struct):
    """An entry of `/api/tags`; `fields` has all of it."""

    name: str
    fields: dict[str, object]


class _List(msgspec.Struct):
    models: list[dict[str, object]] = []


def read_list(data: bytes) -> list[ListedModel]:
    """Return the entries of a reply of `/api/tags` or `/api/ps`; raises ValueError."""
    models = msgspec.json.decode(data, type=_List).models
    return [ListedModel(str(fields.get("name", "")), fields) for fields in models]


def sender_of(scope: Scope) -> str:
    """Return the id of the server that handed the request on, "" for a client's own request."""
    name = PEER_HEADER.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
