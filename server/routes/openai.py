"""The endpoints that OpenAI's clients use, /v1/responses excepted."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.forms import read_form
from server.http.openapi import body_of
from server.http.sse import EVENTS_TYPE
from server.http.streaming import EventReply, Events, json_response
from server.inference.tokens import TokenService
from server.openai.chat_reply import ChatReplies
from server.openai.chat_request import conversation_of, remote_images, speaks_of_functions
from server.openai.chat_schemas import ChatCompletionRequest
from server.openai.completion_reply import CompletionReplies, answers_to
from server.openai.completion_request import CompletionRequest, completions_of
from server.openai.embeddings import EmbeddingList, EmbeddingRequest, embedding_list
from server.openai.framing import FRAMING
from server.openai.models import model_list, model_object
from server.openai.replies import OBJECT_TYPE, Heading, new_id
from server.openai.transcriptions import (
    BODY,
    MOST_BYTES,
    Transcriptions,
    is_streamed,
    transcription_of,
)
from server.routes.dependencies import services_of
from server.routes.replies import last, whole
from server.schemas.rerank import RerankRequest

router = APIRouter(prefix="/v1")
BODIES = (ChatCompletionRequest, CompletionRequest, EmbeddingRequest)


@router.post("/chat/completions", openapi_extra=body_of(ChatCompletionRequest, stream=EVENTS_TYPE))
async def chat_completions(request: Request) -> Response:
    """Continue a conversation."""
    wanted = await read_body(request, ChatCompletionRequest)
    services = services_of(request)
    fetched = await services.remote_images.fetch(remote_images(wanted))
    events = services.chat(conversation_of(wanted, fetched))
    replies = ChatReplies(
        heading=Heading(new_id("chatcmpl"), wanted.model),
        n=wanted.n,
        include_usage=wanted.stream_options.include_usage,
        older=speaks_of_functions(wanted),
    )
    if wanted.stream:
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


@router.post("/completions", openapi_extra=body_of(CompletionRequest, stream=EVENTS_TYPE))
async def completions(request: Request) -> Response:
    """Continue one prompt or several."""
    wanted = await read_body(request, CompletionRequest)
    services = services_of(request)
    streams = [services.generate(asked) for asked in completions_of(wanted)]
    replies = CompletionReplies(
        heading=Heading(new_id("cmpl"), wanted.model),
        n=wanted.n,
        include_usage=wanted.stream_options.include_usage,
        with_logprobs=wanted.logprobs is not None,
        echoes=await _texts(services.tokens, wanted) if wanted.echo else (),
    )
    events = answers_to(streams, wanted.n)
    if wanted.stream:
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


async def _texts(tokens: TokenService, wanted: CompletionRequest) -> list[str]:
    """Return the prompts as text."""
    return [
        prompt if isinstance(prompt, str) else await tokens.detokenize(wanted.model, prompt)
        for prompt in wanted.prompt
    ]


@router.post("/embeddings", openapi_extra=body_of(EmbeddingRequest))
async def embeddings(request: Request) -> Response:
    """Turn texts into vectors."""
    wanted = await read_body(request, EmbeddingRequest)
    service = services_of(request).embedding

    async def answer() -> EmbeddingList:
        found = await service.vectors(
            wanted.model,
            wanted.input,
            dimensions=wanted.dimensions,
            options=wanted.options,
            keep_alive=wanted.keep_alive,
        )
        return embedding_list(wanted, found)

    return whole(answer, FRAMING, OBJECT_TYPE)


@router.post("/audio/transcriptions", openapi_extra=BODY)
async def transcriptions(request: Request) -> Response:
    """Write down a recording."""
    form = await read_form(request, MOST_BYTES)
    events = services_of(request).chat(transcription_of(form))
    replies = Transcriptions(form)
    if is_streamed(form):
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


@router.post("/rerank", openapi_extra=body_of(RerankRequest))
async def rerank(request: Request) -> Response:
    """Put texts in order by how well they answer a query."""
    wanted = await read_body(request, RerankRequest)
    return whole(lambda: services_of(request).rerank(wanted), FRAMING, OBJECT_TYPE)


@router.get("/models")
@router.head("/models", include_in_schema=False)
async def models(request: Request) -> Response:
    """List the installed models."""
    found = await asyncio.to_thread(services_of(request).library.models)
    return json_response(model_list(found), media_type=OBJECT_TYPE)


@router.get("/models/{model:path}")
@router.head("/models/{model:path}", include_in_schema=False)
async def one_model(model: str, request: Request) -> Response:
    """Describe an installed model."""
    if not model:
        raise HTTPException(404)
    found = await asyncio.to_thread(services_of(request).library.find, model)
    return json_response(model_object(found, model), media_type=OBJECT_TYPE)


def _streamed(events: Events[Any]) -> Response:
    return EventReply(events, stream=True, fold=last, framing=FRAMING)


def _collected(events: Events[Any], fold: Callable[[list[Any]], object]) -> Response:
    return EventReply(events, stream=False, fold=fold, framing=FRAMING, object_type=OBJECT_TYPE)
