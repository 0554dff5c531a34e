"""Build the scheduler's request from an installed model and the options of a request."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from model_store.errors import ModelNotFound
from model_store.model import Model, header_of
from model_store.options import Options
from runners.host.model_request import LoadOptions, ModelFacts, ModelKey, ModelRequest
from server.inference.generation import MIN_CONTEXT, MIN_CONTEXT_FOR_MEDIA
from server.inference.model_facts import model_facts


def model_request(model: Model, options: Options, keep_alive: float | None) -> ModelRequest:
    """Return the scheduler's request for `model`.

    Raises:
        ModelNotFound: its weights are gone.
        WeightsDamaged: they cannot be read.
    """
    key = model_key(model)
    model.header()  # raises for damaged weights before they are loaded
    n_ctx = options.num_ctx or None  # 0 means the default
    minimum = MIN_CONTEXT if key.projector is None else MIN_CONTEXT_FOR_MEDIA
    return ModelRequest(
        name=model.name.short,
        digest=model.digest,
        weights=key.weights,
        adapters=key.adapters,
        projector=key.projector,
        facts=_facts(key.weights, key.projector),
        options=LoadOptions(
            num_ctx=None if n_ctx is None else max(n_ctx, minimum),
            num_batch=options.num_batch,
            num_gpu=options.num_gpu,
            main_gpu=options.main_gpu,
            use_mmap=options.use_mmap,
            num_thread=options.num_thread,
        ),
        keep_alive=keep_alive,
        model=model,
    )


def model_key(model: Model) -> ModelKey:
    """Return the files that identify a loaded model; raises ModelNotFound without weights."""
    if model.weights is None:
        raise ModelNotFound(model.name.short)
    return ModelKey(model.weights, model.adapters, next(iter(model.projectors), None))


@lru_cache(maxsize=256)
def _facts(weights: Path, projector: Path | None) -> ModelFacts:
    # A blob never changes under its name.
    facts = model_facts(header_of(weights))
    return facts if projector is None else replace(facts, projector_bytes=projector.stat().st_size)
