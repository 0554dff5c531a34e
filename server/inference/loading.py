"""From an installed model and the options of a request to what the scheduler is asked for."""

from functools import lru_cache
from pathlib import Path

from model_store.errors import ModelNotFound
from model_store.model import Model, header_of
from runners.host.requests import LoadOptions, ModelFacts, ModelKey, ModelRequest
from server.inference.facts import model_facts
from server.schemas.options import Options

_SMALLEST_CONTEXT = 4


def model_request(model: Model, options: Options, keep_alive: float | None) -> ModelRequest:
    """Return the scheduler's request for `model`; the model itself is its card.

    Raises:
        ModelNotFound: its weights are gone.
        WeightsDamaged: they cannot be read.
    """
    key = model_key(model)
    model.header()  # what is wrong with it is told as the model's fault, not the request's
    n_ctx = options.num_ctx
    return ModelRequest(
        name=model.name.short,
        digest=model.digest,
        weights=key.weights,
        adapters=key.adapters,
        facts=_facts(key.weights),
        options=LoadOptions(
            num_ctx=None if n_ctx is None else max(n_ctx, _SMALLEST_CONTEXT),
            num_batch=options.num_batch,
            num_gpu=options.num_gpu,
            main_gpu=options.main_gpu,
            use_mmap=options.use_mmap,
            num_thread=options.num_thread,
        ),
        keep_alive=keep_alive,
        card=model,
    )


def model_key(model: Model) -> ModelKey:
    """Return what the scheduler knows the model by; raises ModelNotFound without weights."""
    if model.weights is None:
        raise ModelNotFound(model.name.short)
    return ModelKey(model.weights, model.adapters)


@lru_cache(maxsize=256)
def _facts(weights: Path) -> ModelFacts:
    # A blob never changes under its name.
    return model_facts(header_of(weights))
