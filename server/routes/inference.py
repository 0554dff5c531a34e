"""/api/chat, generate, embed, embeddings and rerank."""

import time
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.concurrency.threads import in_thread
from server.errors import BadRequest
from server.http.body import converted, read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import LINES_TYPE, EventReply, json_response
from server.inference.adapters import adapter_choices
from server.native.framing import AnswerLines
from server.native.reply import (
    EmptyPiece,
    chat_replies,
    embed_response,
    embeddings_response,
    empty_chat_piece,
    empty_generate_piece,
    fold_chat,
    fold_generate,
    generate_replies,
)
from server.native.request import completion_of, conversation_of
from server.native.rerank import RerankRequest, rerank_response
from server.native.schemas import ChatRequest, EmbeddingsRequest, EmbedRequest, GenerateRequest
from server.native.wire import EmbeddingsResponse
from server.request_record import current
from server.routes.dependencies import services_of
from server.routes.replies import whole

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (GenerateRequest, ChatRequest, EmbedRequest, EmbeddingsRequest, RerankRequest)


@router.post("/generate", openapi_extra=body_of(GenerateRequest, stream=LINES_TYPE))
async def generate(request: Request) -> Response:
    """Continue a prompt."""
    body = await read_body(request, GenerateRequest)
    events = services_of(request).generate(await converted(request, completion_of, body))
    replies = generate_replies(events, body.model)
    framing = _framing(request, partial(empty_generate_piece, body.model), body)
    return EventReply(replies, stream=body.stream, fold=fold_generate, framing=framing)


@router.post("/chat", openapi_extra=body_of(ChatRequest, stream=LINES_TYPE))
async def chat(request: Request) -> Response:
    """Continue a conversation."""
    body = await read_body(request, ChatRequest)
    events = services_of(request).chat(await converted(request, conversation_of, body))
    replies = chat_replies(events, body.model)
    framing = _framing(request, partial(empty_chat_piece, body.model), body)
    return EventReply(replies, stream=body.stream, fold=fold_chat, framing=framing)


def _framing(
    request: Request, empty_piece: EmptyPiece, body: ChatRequest | GenerateRequest
) -> AnswerLines | None:
    """Return the format of a stream, with the progress if it is asked for."""
    if not body.stream:
        return None
    read = partial(services_of(request).queue.progress_of, current()) if body.progress else None
    return AnswerLines(empty_piece, read)


@router.post("/embed", openapi_extra=body_of(EmbedRequest))
async def embed(request: Request) -> Response:
    """Compute embeddings of texts."""
    body = await read_body(request, EmbedRequest)
    service = services_of(request).embedding

    async def response() -> Response:
        started = time.perf_counter_ns()
        embedding = await service.unit_vectors(
            body.model,
            body.input,
            truncate=body.truncate,
            dimensions=body.dimensions,
            options=body.options,
            keep_alive=body.keep_alive,
            adapters=adapter_choices(body.adapters),
        )
        total_ns = time.perf_counter_ns() - started

        def encoded() -> Response:
            return json_response(embed_response(body.model, embedding, total_ns))

        return await in_thread(encoded) if embedding.is_large else encoded()

    return whole(response)


@router.post("/embeddings", openapi_extra=body_of(EmbeddingsRequest))
async def embeddings(request: Request) -> Response:
    """Compute the embedding of one text, in the older form."""
    body = await read_body(request, EmbeddingsRequest)
    service = services_of(request).embedding
    if not body.model.strip():
        raise BadRequest("model is required")

    async def response() -> EmbeddingsResponse:
        inputs = [body.prompt] if body.prompt else []
        embedding = await service.model_vectors(
            body.model,
            inputs,
            options=body.options,
            keep_alive=body.keep_alive,
            adapters=adapter_choices(body.adapters),
        )
        return embeddings_response(embedding)

    return whole(response)


@router.post("/rerank", openapi_extra=body_of(RerankRequest))
async def rerank(request: Request) -> Response:
    """Order documents by how well they answer a query."""
    body = await read_body(request, RerankRequest)
    return whole(lambda: rerank_response(services_of(request).rerank, body))
