"""POST /api/tokenize and /api/detokenize."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.native.schemas import DetokenizeRequest, TokenizeRequest
from server.native.wire import DetokenizeResponse, TokenizeResponse
from server.routes.dependencies import services_of
from server.routes.replies import whole

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (TokenizeRequest, DetokenizeRequest)


@router.post("/tokenize", openapi_extra=body_of(TokenizeRequest))
async def tokenize(request: Request) -> Response:
    """Tokenize a text."""
    body = await read_body(request, TokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> TokenizeResponse:
        text = body.content or body.text or body.prompt
        tokens = await service.tokenize(body.model, text, add_special=body.add_special)
        return TokenizeResponse(body.model, tokens)

    return whole(answer)


@router.post("/detokenize", openapi_extra=body_of(DetokenizeRequest))
async def detokenize(request: Request) -> Response:
    """Detokenize token ids."""
    body = await read_body(request, DetokenizeRequest)
    service = services_of(request).tokens

    async def answer() -> DetokenizeResponse:
        return DetokenizeResponse(body.model, await service.detokenize(body.model, body.tokens))

    return whole(answer)
