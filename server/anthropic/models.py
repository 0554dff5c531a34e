"""GET /v1/models and /v1/models/{model} in the form that Anthropic's clients read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from model_store.model import Model
from server.errors import BadRequest
from server.text.timestamps import local_time

_NUMBER: Final = re.compile(r"[0-9]{1,4}")
_MAX_LIMIT: Final = 1000


class ModelInfo(msgspec.Struct, tag="model"):
    """An installed model; `created_at` as RFC 3339."""

    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"] = "active"


class ModelPage(msgspec.Struct):
    """A page of the installed models, newest first."""

    data: list[ModelInfo]
    first_id: str | None
    last_id: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page to return: `limit` models after one of them, or before one."""

    limit: int
    after: str | None
    before: str | None


def page_query(parameters: Mapping[str, str]) -> PageQuery:
    """Read the query of a request; raises BadRequest."""
    limit = parameters.get("limit", "20")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _MAX_LIMIT:
        raise BadRequest(f"limit must be a whole number from 1 to {_MAX_LIMIT}")
    return PageQuery(int(limit), parameters.get("after_id"), parameters.get("before_id"))


def model_info(model: Model, id: str | None = None) -> ModelInfo:
    """Return what is told of `model`, with `id` as its name if given."""
    name = model.name.short
    return ModelInfo(name if id is None else id, name, local_time(model.modified_at))


def page_of(models: Sequence[Model], query: PageQuery) -> ModelPage:
    """Return a page of `models`; raises BadRequest when none has the id of the query."""
    start, end = 0, len(models)
    if query.after is not None:
        start = _place(models, query.after) + 1
    elif query.before is not None:
        end = _place(models, query.before)
        start = max(0, end - query.limit)
    page = models[start : min(end, start + query.limit)]
    has_more = start > 0 if query.before is not None else start + query.limit < end
    ids = [model.name.short for model in page]
    return ModelPage(
        [model_info(model) for model in page],
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=has_more,
    )


def _place(models: Sequence[Model], id: str) -> int:
    for place, model in enumerate(models):
        if model.name.short == id:
            return place
    raise BadRequest("after_id and before_id must be ids of installed models")
