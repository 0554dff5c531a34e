"""tokenize, detokenize and rerank: what stands beside generating and embedding."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.body import read_body
from server.openapi import body_of
from server.routes.dependencies import services_of
from server.routes.replies import whole
from server.schemas.rerank import RerankRequest
from server.schemas.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)

router = APIRouter()
BODIES = (TokenizeRequest, DetokenizeRequest, RerankRequest)


@router.post("/api/tokenize", openapi_extra=body_of(TokenizeRequest))
async def tokenize(request: Request) -> Response:
    """Turn a text into tokens."""
    wanted = await read_body(request, TokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> TokenizeResponse:
        text = wanted.content or wanted.text or wanted.prompt
        found = await service.tokenize(wanted.model, text, add_special=wanted.add_special)
        return TokenizeResponse(wanted.model, found)

    return whole(answer)


@router.post("/api/detokenize", openapi_extra=body_of(DetokenizeRequest))
async def detokenize(request: Request) -> Response:
    """Turn tokens into a text."""
    wanted = await read_body(request, DetokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> DetokenizeResponse:
        return DetokenizeResponse(
            wanted.model, await service.detokenize(wanted.model, wanted.tokens)
        )

    return whole(answer)


@router.post("/api/rerank", openapi_extra=body_of(RerankRequest))
async def rerank(request: Request) -> Response:
    """Put texts in order by how well they answer a query."""
    wanted = await read_body(request, RerankRequest)
    return whole(lambda: services_of(request).rerank(wanted))
