"""Embeddings: texts or tokens to vectors."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from model_store.model import Model
from model_store.store import Store
from runners.host.context_size import longest_text
from runners.host.errors import RequestFailed
from runners.host.scheduler import Scheduler
from runners.protocol.messages import EmbedInput, FailureCode
from server.concurrency.threads import in_thread
from server.errors import BadRequest
from server.inference.adapters import AdapterChoice
from server.inference.answer_plan import recorded_lease
from server.inference.model_request import prepare
from server.inference.retry import retry_call
from server.inference.text_length import INPUT_TOO_LONG, cut_inputs
from server.inference.vectors import (
    Vectors,
    at_unit_length,
    cut_to,
    is_normalised,
    no_vectors,
    require_few,
    vectors_of,
)
from server.request_record import current

_MAX_INLINE = 1 << 16
_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors, shape (inputs, dim), the tokens of all inputs, and the load time in nanoseconds."""

    vectors: Vectors
    n_tokens: int
    load_ns: int

    @property
    def is_large(self) -> bool:
        """Whether what is done with all of the numbers belongs in a worker thread."""
        return self.vectors.size > _MAX_INLINE


class EmbedService:
    """Computes embeddings."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    async def unit_vectors(
        self,
        model_name: str,
        inputs: Sequence[EmbedInput],
        *,
        truncate: bool = True,
        dimensions: int = 0,
        options: Mapping[str, object] = _NO_OPTIONS,
        keep_alive: float | None = None,
        adapters: Sequence[AdapterChoice] | None = None,
    ) -> Embedding:
        """Return a vector of unit length for each input; without any, only load the model.

        Raises:
            NotFound: there is no such model.
            BadRequest: an option is wrong, there are too many inputs, or one is too long and
                `truncate` is off.
        """
        _, embedding = await self._embed(
            model_name, inputs, options, keep_alive, truncate=truncate, adapters=adapters
        )
        if not inputs:
            return embedding

        def normalised() -> Vectors:
            return cut_to(at_unit_length(embedding.vectors), dimensions)

        vectors = await in_thread(normalised) if embedding.is_large else normalised()
        return Embedding(vectors, embedding.n_tokens, embedding.load_ns)

    async def model_vectors(
        self,
        model_name: str,
        inputs: Sequence[EmbedInput],
        *,
        options: Mapping[str, object] = _NO_OPTIONS,
        keep_alive: float | None = None,
        adapters: Sequence[AdapterChoice] | None = None,
    ) -> Embedding:
        """Return the vectors as the model defines them; see `is_normalised`. Raises as above."""
        model, embedding = await self._embed(
            model_name, inputs, options, keep_alive, truncate=False, adapters=adapters
        )
        if not inputs or not is_normalised(await in_thread(model.header)):
            return embedding
        vectors = at_unit_length(embedding.vectors)
        return Embedding(vectors, embedding.n_tokens, embedding.load_ns)

    @retry_call
    async def _embed(
        self,
        model_name: str,
        inputs: Sequence[EmbedInput],
        options: Mapping[str, object],
        keep_alive: float | None,
        *,
        truncate: bool,
        adapters: Sequence[AdapterChoice] | None = None,
    ) -> tuple[Model, Embedding]:
        started = time.perf_counter_ns()
        prepared = await prepare(
            self._store, model_name, options, keep_alive, adapters=adapters, pull_hint=True
        )
        model = prepared.model
        require_few(len(inputs), prepared.request.facts.n_embd)
        async with recorded_lease(self._scheduler, prepared.request) as lease:
            load_ns = time.perf_counter_ns() - started
            if not inputs:
                return model, Embedding(no_vectors(), 0, load_ns)
            n_ctx = longest_text(prepared.request, lease.n_ctx)
            inputs = await cut_inputs(lease.runner, inputs, n_ctx, truncate=truncate)
            try:
                answer = await lease.runner.embed(
                    inputs,
                    n_ctx=n_ctx,
                    truncate=truncate,
                    adapters=prepared.request.adapters,
                    is_background=current().is_background,
                    owner=current().caller.id,
                )
            except RequestFailed as e:
                if e.code is FailureCode.PROMPT_TOO_LONG:
                    raise BadRequest(INPUT_TOO_LONG) from e
                raise
        current().add_answer(n_prompt=answer.n_tokens)
        return model, Embedding(vectors_of(answer), answer.n_tokens, load_ns)
