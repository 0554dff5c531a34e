"""POST /api/embed and /api/embeddings."""

import time

from model_store.store import Store
from runners.host.errors import RequestFailed
from runners.host.scheduler import Scheduler
from runners.protocol.messages import FailureCode
from server.encoding import shortest
from server.errors import BadRequest
from server.inference.loading import model_request
from server.inference.models import find_model
from server.inference.vectors import at_unit_length, cut_to, is_normalised, vectors_of
from server.schemas.embed import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    EmbedRequest,
    EmbedResponse,
)
from server.schemas.options import merged_options

_TOO_LONG = "the input length exceeds the context length"


class EmbedService:
    """Serves both forms of embedding requests."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Return a vector of unit length for each text."""
        started = time.perf_counter_ns()
        model = find_model(self._store, request.model, pull_hint=True)
        options = merged_options(model.parameters, request.options)
        async with self._scheduler.lease(
            model_request(model, options, request.keep_alive)
        ) as lease:
            leased = time.perf_counter_ns()
            if not request.input:
                return EmbedResponse(model=request.model, embeddings=[])
            try:
                answer = await lease.runner.embed(request.input, truncate=request.truncate)
            except RequestFailed as e:
                raise _reworded(e) from e
        vectors = cut_to(at_unit_length(vectors_of(answer)), request.dimensions)
        return EmbedResponse(
            model=request.model,
            embeddings=shortest(vectors).tolist(),
            total_duration=time.perf_counter_ns() - started,
            load_duration=leased - started,
            prompt_eval_count=answer.n_tokens,
        )

    async def embeddings(self, request: EmbeddingsRequest) -> EmbeddingsResponse:
        """Return the vector of one text as the network makes it."""
        if not request.model.strip():
            raise BadRequest("model is required")
        model = find_model(self._store, request.model, pull_hint=True)
        options = merged_options(model.parameters, request.options)
        async with self._scheduler.lease(
            model_request(model, options, request.keep_alive)
        ) as lease:
            if not request.prompt:
                return EmbeddingsResponse([])
            try:
                answer = await lease.runner.embed([request.prompt], truncate=False)
            except RequestFailed as e:
                raise _reworded(e) from e
        vectors = vectors_of(answer)
        if is_normalised(model.header()):
            vectors = at_unit_length(vectors)
        return EmbeddingsResponse([float(value) for value in vectors[0]])


def _reworded(error: RequestFailed) -> Exception:
    return BadRequest(_TOO_LONG) if error.code is FailureCode.PROMPT_TOO_LONG else error
