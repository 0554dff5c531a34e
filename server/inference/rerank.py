"""Reranking: order documents by how well they answer a query."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp

from model_store.store import Store
from runners.host.context_size import longest_text
from runners.host.scheduler import Scheduler
from runners.protocol.messages import Embedded, EmbedInput
from server.concurrency.threads import in_thread
from server.inference.answer_plan import recorded_lease
from server.inference.model_request import prepare
from server.inference.retry import retry_call
from server.inference.text_length import cut_inputs
from server.inference.vectors import at_unit_length, require_few, vectors_of
from server.request_record import current

_POOLING_RANK = 4


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """The index of a document in the request, and its score; 1 is the best."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best documents, best first, and the tokens of the query and all documents."""

    documents: Sequence[RankedDocument]
    n_tokens: int


class RerankService:
    """Scores by a reranking model, or by the cosine of the embeddings of query and document."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    @retry_call
    async def __call__(
        self,
        model_name: str,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int = 0,
        options: Mapping[str, object],
        keep_alive: float | None = None,
    ) -> Ranking:
        """Return the `top_n` best documents, all of them for 0.

        Raises:
            NotFound: there is no such model.
            BadRequest: an option is wrong, or there are too many documents.
        """
        prepared = await prepare(self._store, model_name, options, keep_alive, required=True)
        header = await in_thread(prepared.model.header)
        is_ranking = header.integer(f"{header.architecture}.pooling_type") == _POOLING_RANK
        if not is_ranking:
            require_few(1 + len(documents), prepared.request.facts.n_embd)
        async with recorded_lease(self._scheduler, prepared.request) as lease:
            n_ctx = longest_text(prepared.request, lease.n_ctx)
            texts = await cut_inputs(lease.runner, [query, *documents], n_ctx)
            scores, n_tokens = await _scores(
                partial(lease.runner.embed, n_ctx=n_ctx, adapters=prepared.request.adapters),
                texts,
                is_ranking=is_ranking,
            )
        current().add_answer(n_prompt=n_tokens)
        best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: top_n or None]
        return Ranking([RankedDocument(i, scores[i]) for i in best], n_tokens)


async def _scores(
    embed: Callable[..., Awaitable[Embedded]], texts: Sequence[EmbedInput], *, is_ranking: bool
) -> tuple[list[float], int]:
    """Score the texts after the first one, which is the query."""
    if is_ranking:
        answer = await embed(texts[1:], query=str(texts[0]))
        return _relevance(answer), answer.n_tokens
    answer = await embed(texts)
    vectors = at_unit_length(vectors_of(answer)).astype("f8")
    cosines: list[float] = (vectors[1:] @ vectors[0]).tolist()
    return cosines, answer.n_tokens


def _relevance(answer: Embedded) -> list[float]:
    """Return scores from 0 to 1: a single value is a logit, the first of several a probability."""
    values = vectors_of(answer)
    scores: list[float] = values[:, 0].tolist()
    return list(map(_sigmoid, scores)) if values.shape[1] == 1 else scores


def _sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit)) if logit > 0 else exp(logit) / (1 + exp(logit))
