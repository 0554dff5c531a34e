"""POST /api/rerank and /v1/rerank: the request and the reply, which are the same in both APIs."""

from typing import Annotated, Self

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from server.inference.rerank import Ranking, RerankService
from server.schemas.base import ApiModel, Integer, LongText, refuse
from server.schemas.values import KeepAlive, ModelOptions

_NO_DOCUMENTS = 'field "documents" must be a list of at least one text'


def _documents(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise refuse(_NO_DOCUMENTS)
    return [_document(item) for item in value]


def _document(value: object) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise refuse('each item of "documents" must be a text, or an object with a field "text"')
    return text


class RerankRequest(ApiModel):
    """Documents to order by how well they answer `query`; `top_n` 0 returns all of them."""

    model: str = ""
    query: LongText = ""
    documents: Annotated[
        list[LongText],
        BeforeValidator(_documents),
        WithJsonSchema({"type": "array", "minItems": 1}),
    ] = Field(default_factory=list)
    top_n: Annotated[Integer, Field(ge=0)] = 0
    return_documents: bool = False
    options: ModelOptions = Field(default_factory=dict)
    keep_alive: KeepAlive = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.query:
            raise refuse('field "query" must be a text that is not empty')
        if not self.documents:
            raise refuse(_NO_DOCUMENTS)
        return self


class ResultDocument(msgspec.Struct):
    """A document of the request."""

    text: str


class RerankResult(msgspec.Struct):
    """A document by its index in the request; 1 is the best score."""

    index: int
    relevance_score: float
    document: ResultDocument | UnsetType = UNSET


class RerankUsage(msgspec.Struct):
    """Tokens of the query and all documents."""

    prompt_tokens: int
    total_tokens: int


class RerankResponse(msgspec.Struct):
    """The best documents, best first."""

    model: str
    results: list[RerankResult]
    usage: RerankUsage


async def rerank_response(service: RerankService, request: RerankRequest) -> RerankResponse:
    """Return the reply of `service` to `request`; raises as the service does."""
    ranking = await service(
        request.model,
        request.query,
        request.documents,
        top_n=request.top_n,
        options=request.options,
        keep_alive=request.keep_alive,
    )
    return _response(request, ranking)


def _response(request: RerankRequest, ranking: Ranking) -> RerankResponse:
    results = []
    for document in ranking.documents:
        result = RerankResult(document.index, document.score)
        if request.return_documents:
            result.document = ResultDocument(request.documents[document.index])
        results.append(result)
    usage = RerankUsage(ranking.n_tokens, ranking.n_tokens)
    return RerankResponse(request.model, results, usage)
