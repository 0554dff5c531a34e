"""POST /api/embed and its older form, POST /api/embeddings."""

from typing import Annotated

import msgspec
from pydantic import BeforeValidator, Field, WithJsonSchema

from server.schemas.base import ApiModel, FreeMap, Integer, refuse
from server.schemas.values import KeepAlive


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise refuse("invalid input type")


Texts = Annotated[
    list[str],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One text or several; an empty text by itself is none."""


class EmbedRequest(ApiModel):
    """Texts to turn into vectors."""

    model: str = ""
    input: Texts = Field(default_factory=list)
    truncate: bool = True
    dimensions: Integer = 0
    keep_alive: KeepAlive = None
    options: FreeMap = Field(default_factory=dict)


class EmbeddingsRequest(ApiModel):
    """One text, in the older form."""

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive = None
    options: FreeMap = Field(default_factory=dict)


class EmbedResponse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A vector of unit length for each text, in their order; durations in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


class EmbeddingsResponse(msgspec.Struct):
    """The vector of the text; empty for an empty one."""

    embedding: list[float]
