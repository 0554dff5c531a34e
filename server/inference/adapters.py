"""LoRA adapters of a request: those of its model, or of the installed models that it names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model_store.errors import ModelNotFound
from model_store.model import Model
from model_store.store import Store
from runners.protocol.adapters import Adapter, Adapters
from server.errors import BadRequest, NotFound
from server.inference.options import merged_options
from server.model_names import model_name
from server.text.quoting import quoted

MAX_ADAPTERS = 16
"""Adapters of a request; each makes every token a little slower."""


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """An installed model whose adapters are used, and the factor of their effect."""

    name: str
    scale: float = 1.0


class _Choice(Protocol):
    """A choice in a request of any API."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> float: ...


def adapter_choices(fields: Sequence[_Choice] | None) -> tuple[AdapterChoice, ...] | None:
    """Return the choices of a request; None where it makes none."""
    if fields is None:
        return None
    return tuple(AdapterChoice(field.name, field.scale) for field in fields)


def adapters_of(
    store: Store,
    model: Model,
    choices: Sequence[AdapterChoice] | None,
    own_scale: float | None = None,
) -> Adapters:
    """Return the adapters for a request to `model`: its own, unless the request chooses others.

    `own_scale` is the factor of its own. That of a chosen model's is multiplied by the request's.

    Raises:
        NotFound: a chosen model is not installed.
        BadRequest: it has no adapter, or one of another base model; or there are too many.
    """
    if choices is None:
        scale = 1.0 if own_scale is None else own_scale
        return tuple(Adapter(str(path), scale) for path in model.adapters)
    adapters = tuple(
        Adapter(str(path), choice.scale * _stored_scale(chosen))
        for choice in choices
        for chosen in (_chosen(store, model, choice.name),)
        for path in chosen.adapters
    )
    if len(adapters) > MAX_ADAPTERS:
        raise BadRequest(f"a request may have at most {MAX_ADAPTERS} adapters")
    return adapters


def _stored_scale(model: Model) -> float:
    scale = merged_options(model.parameters).adapter_scale
    return 1.0 if scale is None else scale


def _chosen(store: Store, model: Model, name: str) -> Model:
    try:
        chosen = store.resolve(model_name(name))
    except ModelNotFound:
        raise NotFound(f"model {quoted(name)} not found, try pulling it first") from None
    if not chosen.adapters:
        raise BadRequest(f"model {quoted(name)} has no adapter")
    if chosen.weights != model.weights:
        raise BadRequest(f"the adapter of model {quoted(name)} is for another base model")
    return chosen
