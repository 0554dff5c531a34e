"""tokenize and detokenize."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.openapi import body_of
from server.routes.dependencies import services_of
from server.routes.replies import whole
from server.schemas.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)

router = APIRouter(prefix="/api")
BODIES = (TokenizeRequest, DetokenizeRequest)


@router.post("/tokenize", openapi_extra=body_of(TokenizeRequest))
async def tokenize(request: Request) -> Response:
    """Turn a text into tokens."""
    wanted = await read_body(request, TokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> TokenizeResponse:
        text = wanted.content or wanted.text or wanted.prompt
        found = await service.tokenize(wanted.model, text, add_special=wanted.add_special)
        return TokenizeResponse(wanted.model, found)

    return whole(answer)


@router.post("/detokenize", openapi_extra=body_of(DetokenizeRequest))
async def detokenize(request: Request) -> Response:
    """Turn tokens into a text."""
    wanted = await read_body(request, DetokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> DetokenizeResponse:
        return DetokenizeResponse(
            wanted.model, await service.detokenize(wanted.model, wanted.tokens)
        )

    return whole(answer)
