"""Build the scheduler's request from an installed model and the options of a request.

A model's header may have megabytes, and it is read from a disk: everything here that reads it
belongs in a worker thread, where other requests do not wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_store.disk import read_errors
from model_store.errors import GGUFError, ModelNotFound, StoreError, WeightsDamaged
from model_store.model import Model
from model_store.options import Options
from model_store.store import Store
from runners.host.model_request import LoadOptions, ModelKey, ModelRequest
from runners.protocol.adapters import Adapters
from server.concurrency.threads import in_thread
from server.inference.adapters import AdapterChoice, adapters_of
from server.inference.generation import MIN_CONTEXT_FOR_MEDIA, requested_context
from server.inference.model_files import ModelFiles, model_files
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
    adapters: Sequence[AdapterChoice] | None = None,
    pull_hint: bool = False,
    required: bool = False,
) -> Preparation:
    """Look up a model and read its header, in a worker thread.

    Raises:
        NotFound, BadRequest: as `find_model`, `merged_options` and `adapters_of`.
        ModelNotFound, WeightsDamaged: as `model_request`.
    """

    def read() -> Preparation:
        model = find_model(store, name, pull_hint=pull_hint, required=required)
        merged = merged_options(model.parameters, model.served_as.options, options)
        return Preparation(
            model,
            merged,
            model_request(
                model,
                merged,
                keep_alive,
                adapters_of(store, model, adapters, merged.adapter_scale),
            ),
        )

    return await in_thread(read)


def model_request(
    model: Model,
    options: Options,
    keep_alive: float | None,
    adapters: Adapters,
    *,
    least_context: int = 0,
) -> ModelRequest:
    """Return the scheduler's request for `model` with these adapters; blocks on the disk.

    Raises:
        ModelNotFound: its weights are gone.
        WeightsDamaged: they cannot be read.
    """
    files, served_as = files_of(model), model.served_as
    n_ctx = requested_context(options)
    minimum = 0 if files.projector is None else MIN_CONTEXT_FOR_MEDIA
    return ModelRequest(
        name=model.name.short,
        digest=model.digest,
        weights=files.weights,
        view=files.view,
        adapters=adapters,
        projector=files.projector,
        projector_view=files.projector_view,
        draft=files.draft,
        draft_view=files.draft_view,
        draft_facts=files.draft_facts,
        facts=files.facts,
        options=LoadOptions(
            num_ctx=None if n_ctx is None else max(n_ctx, minimum),
            num_batch=options.num_batch,
            num_gpu=options.num_gpu,
            main_gpu=options.main_gpu,
            use_mmap=options.use_mmap,
            num_thread=options.num_thread,
        ),
        keep_alive=served_as.keep_alive if keep_alive is None else keep_alive,
        parallel=served_as.parallel,
        max_context=served_as.max_context,
        least_context=least_context,
        is_pinned=served_as.is_pinned,
        groups=served_as.groups,
        model=model,
    )


def files_of(model: Model) -> ModelFiles:
    """Return the files of a model as runners read them.

    Raises:
        ModelNotFound: its weights are gone.
        StorageUnreadable: the operating system does not let us read them.
        WeightsDamaged: they are damaged.
    """
    if model.weights is None:
        raise ModelNotFound(model.name.short)
    try:
        with read_errors(f"the file of model '{model.name.short}'"):
            return model_files(model.weights, next(iter(model.projectors), None), _draft_of(model))
    except FileNotFoundError as e:
        raise ModelNotFound(model.name.short) from e
    except GGUFError as e:
        raise WeightsDamaged(model.name.short, str(e)) from e


def model_key(model: Model) -> ModelKey:
    """Return the files that identify a loaded model; raises ModelNotFound without weights."""
    if model.weights is None:
        raise ModelNotFound(model.name.short)
    try:
        projector = files_of(model).projector
    except StoreError:  # it cannot have been loaded
        projector = next(iter(model.projectors), None)
    return ModelKey(model.weights, projector, _draft_of(model))


def _draft_of(model: Model) -> Path | None:
    """Return the draft model; the last one counts."""
    return model.drafts[-1] if model.drafts else None
