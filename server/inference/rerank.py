"""Texts put in order by how well they answer a query."""

import numpy as np
import numpy.typing as npt

from model_store.model import Model
from model_store.store import Store
from runners.host.client import RunnerClient
from runners.host.scheduler import Scheduler
from runners.protocol.messages import Embedded
from server.inference.model_request import model_request
from server.inference.models import find_model
from server.inference.vectors import at_unit_length, vectors_of
from server.request_record import current
from server.schemas.options import merged_options
from server.schemas.rerank import (
    RankedDocument,
    RankedResult,
    RerankRequest,
    RerankResponse,
    RerankUsage,
)

_POOLING_RANK = 4

Scores = npt.NDArray[np.float64]


class RerankService:
    """Scores by a model made for it, or by the cosine of a query's vector and a text's."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    async def __call__(self, request: RerankRequest) -> RerankResponse:
        """Return the best texts, best first."""
        model = find_model(self._store, request.model, required=True)
        options = merged_options(model.parameters, request.options)
        async with self._scheduler.lease(
            model_request(model, options, request.keep_alive)
        ) as lease:
            scores, n_tokens = await _scores(lease.runner, request, model)
        current().add_answer(n_prompt=n_tokens)
        best = np.argsort(-scores, kind="stable")[: request.top_n or None]
        return RerankResponse(
            model=request.model,
            results=[_result(request, int(index), float(scores[index])) for index in best],
            usage=RerankUsage(n_tokens, n_tokens),
        )


async def _scores(runner: RunnerClient, request: RerankRequest, model: Model) -> tuple[Scores, int]:
    header = model.header()
    if header.integer(f"{header.architecture}.pooling_type") == _POOLING_RANK:
        answer = await runner.embed(request.documents, query=request.query)
        return _relevance(answer), answer.n_tokens
    answer = await runner.embed([request.query, *request.documents])
    vectors = at_unit_length(vectors_of(answer)).astype(np.float64)
    cosines: Scores = vectors[1:] @ vectors[0]
    return cosines, answer.n_tokens


def _relevance(answer: Embedded) -> Scores:
    """Return scores from 0 to 1: a single value is a logit, the first of several a probability."""
    values = vectors_of(answer).astype(np.float64)
    scores: Scores = values[:, 0]
    return 1 / (1 + np.exp(-scores)) if values.shape[1] == 1 else scores


def _result(request: RerankRequest, index: int, score: float) -> RankedResult:
    result = RankedResult(index, score)
    if request.return_documents:
        result.document = RankedDocument(request.documents[index])
    return result
