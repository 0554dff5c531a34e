"""generate, chat, embed, embeddings, rerank: decode the body, hand it on, send what comes back."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.openapi import body_of
from server.http.streaming import LINES_TYPE, EventReply
from server.native.chat import chat as chat_events
from server.native.chat import fold_chat
from server.native.generate import fold_generate
from server.native.generate import generate as generate_events
from server.routes.dependencies import services_of
from server.routes.replies import whole
from server.schemas.chat import ChatRequest
from server.schemas.embed import EmbeddingsRequest, EmbedRequest
from server.schemas.generate import GenerateRequest
from server.schemas.rerank import RerankRequest

router = APIRouter(prefix="/api")
BODIES = (GenerateRequest, ChatRequest, EmbedRequest, EmbeddingsRequest, RerankRequest)


@router.post("/generate", openapi_extra=body_of(GenerateRequest, stream=LINES_TYPE))
async def generate(request: Request) -> Response:
    """Continue a prompt."""
    wanted = await read_body(request, GenerateRequest)
    events = generate_events(services_of(request).generate, wanted)
    return EventReply(events, stream=wanted.stream, fold=fold_generate)


@router.post("/chat", openapi_extra=body_of(ChatRequest, stream=LINES_TYPE))
async def chat(request: Request) -> Response:
    """Continue a conversation."""
    wanted = await read_body(request, ChatRequest)
    events = chat_events(services_of(request).chat, wanted)
    return EventReply(events, stream=wanted.stream, fold=fold_chat)


@router.post("/embed", openapi_extra=body_of(EmbedRequest))
async def embed(request: Request) -> Response:
    """Turn texts into vectors."""
    wanted = await read_body(request, EmbedRequest)
    return whole(lambda: services_of(request).embedding.embed(wanted))


@router.post("/embeddings", openapi_extra=body_of(EmbeddingsRequest))
async def embeddings(request: Request) -> Response:
    """Turn a text into a vector, in the older form."""
    wanted = await read_body(request, EmbeddingsRequest)
    return whole(lambda: services_of(request).embedding.embeddings(wanted))


@router.post("/rerank", openapi_extra=body_of(RerankRequest))
async def rerank(request: Request) -> Response:
    """Put texts in order by how well they answer a query."""
    wanted = await read_body(request, RerankRequest)
    return whole(lambda: services_of(request).rerank(wanted))
