"""Build the scheduler's request from an installed model and the options of a request.

A model's header may have megabytes, and it is read from a disk: everything here that reads it
belongs in a worker thread, where other requests do not wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from model_store.errors import ModelNotFound
from model_store.model import Model, header_of
from model_store.options import Options
from model_store.store import Store
from runners.host.model_request import LoadOptions, ModelFacts, ModelKey, ModelRequest
from server.concurrency.threads import in_thread
from server.inference.generation import MIN_CONTEXT_FOR_MEDIA, requested_context
from server.inference.model_facts import model_facts
from server.inference.models import find_model
from server.inference.options import merged_options


@dataclass(frozen=True, slots=True)
class Preparation:
    """A model with the options of a request, merged into its own, and what loads it."""

    model: Model
    options: Options
    request: ModelRequest


async def prepare(
    store: Store,
    name: str,
    options: Mapping[str, object],
    keep_alive: float | None,
    *,
    pull_hint: bool = False,
    required: bool = False,
) -> Preparation:
    """Look up a model and read its header, in a worker thread.

    Raises:
        NotFound, BadRequest: as `find_model` and `merged_options`.
        ModelNotFound, WeightsDamaged: as `model_request`.
    """

    def read() -> Preparation:
        model = find_model(store, name, pull_hint=pull_hint, required=required)
        merged = merged_options(model.parameters, options)
        return Preparation(model, merged, model_request(model, merged, keep_alive))

    return await in_thread(read)


def model_request(model: Model, options: Options, keep_alive: float | None) -> ModelRequest:
    """Return the scheduler's request for `model`; blocks on the disk.

    Raises:
        ModelNotFound: its weights are gone.
        WeightsDamaged: they cannot be read.
    """
    key = model_key(model)
    model.header()  # raises for damaged weights before they are loaded
    n_ctx = requested_context(options)
    minimum = 0 if key.projector is None else MIN_CONTEXT_FOR_MEDIA
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
