"""GET /v1/models and /v1/models/{model}."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from model_store.model import Model


class ModelObject(msgspec.Struct):
    """An installed model; `created` in seconds since 1970."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(msgspec.Struct):
    """All installed models, newest first."""

    data: list[ModelObject]
    object: str = "list"


def model_object(model: Model, id: str | None = None) -> ModelObject:
    """Return the object of `model`, with `id` as its name if given."""
    return ModelObject(
        id=model.name.short if id is None else id,
        object="model",
        created=int(model.modified_at),
        owned_by=model.name.namespace,
    )


def remote_model_object(entry: Mapping[str, object]) -> ModelObject:
    """Return the object of a model that a peer lists in `/api/tags` as `entry`."""
    try:
        created = int(datetime.fromisoformat(str(entry.get("modified_at"))).timestamp())
    except ValueError:
        created = 0
    owner = str(entry.get("remote_host", ""))
    return ModelObject(str(entry.get("name", "")), "model", created, owner)


def model_list(models: Iterable[Model]) -> ModelList:
    """Return the list of `models`."""
    return ModelList([model_object(model) for model in models])
