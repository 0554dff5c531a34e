"""Field type of a JSON object that may be sent as its JSON text, such as tool call arguments."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from server.errors import BadRequest
from server.http.body import first_value
from server.schemas.base import FreeMap, refuse


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = first_value(value.encode()) if value.strip() else {}
        except BadRequest:
            raise refuse("invalid tool call arguments") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse("invalid tool call arguments")
    return value


JSONObject = Annotated[
    FreeMap,
    BeforeValidator(_object),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object"},
                {"type": "string", "contentMediaType": "application/json"},
            ]
        }
    ),
]
"""An object, or its JSON text; empty and `null` stand for an object without keys."""
