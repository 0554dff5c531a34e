"""POST /api/embed and /api/embeddings."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from model_store.store import Store
from runners.host.errors import RequestFailed
from runners.host.scheduler import Scheduler
from runners.protocol.messages import EmbedInput, FailureCode
from server.errors import BadRequest
from server.http.json_encoding import shortest
from server.inference.model_request import model_request
from server.inference.models import find_model
from server.inference.vectors import (
    Vectors,
    at_unit_length,
    cut_to,
    is_normalised,
    vectors_of,
)
from server.request_record import current
from server.schemas.embed import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    EmbedRequest,
    EmbedResponse,
)
from server.schemas.options import merged_options

_TOO_LONG = "the input length exceeds the context length"


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors, shape (inputs, dim), the tokens of all inputs, and how long the load took."""

    vectors: Vectors
    n_tokens: int
    load_ns: int


class EmbedService:
    """Serves both forms of embedding requests."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    async def vectors(
        self,
        asked_as: str,
        inputs: Sequence[EmbedInput],
        *,
        truncate: bool = True,
        dimensions: int = 0,
        options: Mapping[str, object] = MappingProxyType({}),
        keep_alive: float | None = None,
    ) -> Embedding:
        """Return a vector of unit length for each input; without any, only load the model."""
        started = time.perf_counter_ns()
        model = find_model(self._store, asked_as, pull_hint=True)
        merged = merged_options(model.parameters, options)
        async with self._scheduler.lease(model_request(model, merged, keep_alive)) as lease:
            load_ns = time.perf_counter_ns() - started
            if not inputs:
                return Embedding(np.empty((0, 0), np.float32), 0, load_ns)
            try:
                answer = await lease.runner.embed(inputs, truncate=truncate)
            except RequestFailed as e:
                raise _reworded(e) from e
        current().add_answer(n_prompt=answer.n_tokens)
        vectors = cut_to(at_unit_length(vectors_of(answer)), dimensions)
        return Embedding(vectors, answer.n_tokens, load_ns)

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Return a vector of unit length for each text."""
        started = time.perf_counter_ns()
        found = await self.vectors(
            request.model,
            request.input,
            truncate=request.truncate,
            dimensions=request.dimensions,
            options=request.options,
            keep_alive=request.keep_alive,
        )
        if not request.input:
            return EmbedResponse(model=request.model, embeddings=[])
        return EmbedResponse(
            model=request.model,
            embeddings=shortest(found.vectors).tolist(),
            total_duration=time.perf_counter_ns() - started,
            load_duration=found.load_ns,
            prompt_eval_count=found.n_tokens,
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
        current().add_answer(n_prompt=answer.n_tokens)
        vectors = vectors_of(answer)
        if is_normalised(model.header()):
            vectors = at_unit_length(vectors)
        return EmbeddingsResponse([float(value) for value in vectors[0]])


def _reworded(error: RequestFailed) -> Exception:
    return BadRequest(_TOO_LONG) if error.code is FailureCode.PROMPT_TOO_LONG else error
