"""OpenAI endpoints: chat and text completions, embeddings, transcriptions, models, rerank."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from server.anthropic.models import model_info, page_of, page_query
from server.concurrency.threads import in_thread
from server.http.body import converted, read_body
from server.http.direct_route import DirectRoute
from server.http.envelopes import is_from_anthropic_client
from server.http.forms import read_form
from server.http.json_encoding import encode
from server.http.openapi import body_of
from server.http.sse import EVENTS_TYPE
from server.http.streaming import EventReply, Events, json_response, raw_json_response
from server.inference.tokens import TokenService
from server.native.rerank import RerankRequest, rerank_response
from server.openai.chat.reply import ChatReplies
from server.openai.chat.request import (
    conversation_of,
    freeform_names,
    remote_images,
    uses_legacy_functions,
)
from server.openai.chat.schemas import ChatCompletionRequest
from server.openai.completions.reply import CompletionReplies, answers_to
from server.openai.completions.request import completions_of
from server.openai.completions.schemas import CompletionRequest
from server.openai.embeddings import EmbeddingRequest, embedding_list
from server.openai.framing import FRAMING
from server.openai.models import model_list, model_object, remote_model_object
from server.openai.reply import OBJECT_TYPE, Heading, new_id
from server.openai.transcriptions import (
    BODY,
    MAX_BYTES,
    Transcriptions,
    is_streamed,
    transcription_of,
)
from server.routes.dependencies import services_of
from server.routes.replies import last, whole
from server.services import Services

router = APIRouter(prefix="/v1", route_class=DirectRoute)
BODIES = (ChatCompletionRequest, CompletionRequest, EmbeddingRequest)


@router.post("/chat/completions", openapi_extra=body_of(ChatCompletionRequest, stream=EVENTS_TYPE))
async def chat_completions(request: Request) -> Response:
    """Continue a conversation."""
    body = await read_body(request, ChatCompletionRequest)
    services = services_of(request)
    fetched = await services.remote_images.fetch(remote_images(body))
    events = services.chat(await converted(request, conversation_of, body, fetched))
    replies = ChatReplies(
        heading=Heading(new_id("chatcmpl"), body.model),
        n=body.n,
        include_usage=body.stream_options.include_usage,
        legacy_functions=uses_legacy_functions(body),
        freeform=freeform_names(body),
        predicted=body.prediction is not None,
    )
    if body.stream:
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


@router.post("/completions", openapi_extra=body_of(CompletionRequest, stream=EVENTS_TYPE))
async def completions(request: Request) -> Response:
    """Continue one prompt or several."""
    body = await read_body(request, CompletionRequest)
    services = services_of(request)
    prompts = await converted(request, completions_of, body)
    streams = [services.generate(prompt) for prompt in prompts]
    replies = CompletionReplies(
        heading=Heading(new_id("cmpl"), body.model),
        n=body.n,
        include_usage=body.stream_options.include_usage,
        with_logprobs=body.logprobs is not None,
        echoes=await _prompt_texts(services.tokens, body) if body.echo else (),
    )
    events = answers_to(streams, body.n)
    if body.stream:
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


async def _prompt_texts(tokens: TokenService, body: CompletionRequest) -> list[str]:
    """Return the prompts as text, for `echo`."""
    return [
        prompt if isinstance(prompt, str) else await tokens.detokenize(body.model, prompt)
        for prompt in body.prompt
    ]


@router.post("/embeddings", openapi_extra=body_of(EmbeddingRequest))
async def embeddings(request: Request) -> Response:
    """Compute embeddings."""
    body = await read_body(request, EmbeddingRequest)
    service = services_of(request).embedding

    async def answer() -> Response:
        embedding = await service.unit_vectors(
            body.model,
            body.input,
            dimensions=body.dimensions,
            options=body.options,
            keep_alive=body.keep_alive,
        )

        def encoded() -> Response:
            return json_response(embedding_list(body, embedding), media_type=OBJECT_TYPE)

        return await in_thread(encoded) if embedding.is_large else encoded()

    return whole(answer, FRAMING, OBJECT_TYPE)


@router.post("/audio/transcriptions", openapi_extra=BODY)
async def transcriptions(request: Request) -> Response:
    """Transcribe an audio file."""
    form = await read_form(request, MAX_BYTES)
    events = services_of(request).chat(transcription_of(form))
    replies = Transcriptions(form)
    if is_streamed(form):
        return _streamed(replies.streamed(events))
    return _collected(events, replies.whole)


@router.post("/rerank", openapi_extra=body_of(RerankRequest))
async def rerank(request: Request) -> Response:
    """Order documents by how well they answer a query."""
    body = await read_body(request, RerankRequest)
    return whole(lambda: rerank_response(services_of(request).rerank, body), FRAMING, OBJECT_TYPE)


@router.get("/models")
@router.head("/models", include_in_schema=False)
async def models(request: Request) -> Response:
    """List the installed models, in the form of the client that asks."""
    services = services_of(request)
    if is_from_anthropic_client(request.scope):
        query = page_query(request.query_params)
        data = await asyncio.to_thread(services.library.tags_as, page_of, query)
    else:
        data = await asyncio.to_thread(_listed, services)
    return raw_json_response(data, media_type=OBJECT_TYPE)


def _listed(services: Services) -> bytes:
    """Return the JSON of the installed models, and of those that only peers have."""
    if services.peers is None:
        return services.library.tags_as(model_list)
    models = services.library.models()
    listed = model_list(models)
    foreign = services.peers.foreign_models([model.name.short for model in models])
    listed.data += map(remote_model_object, foreign)
    return encode(listed)


@router.get("/models/{model:path}")
@router.head("/models/{model:path}", include_in_schema=False)
async def one_model(model: str, request: Request) -> Response:
    """Describe an installed model."""
    if not model:
        raise HTTPException(404)
    installed = await asyncio.to_thread(services_of(request).library.find, model)
    if is_from_anthropic_client(request.scope):
        return json_response(model_info(installed, model), media_type=OBJECT_TYPE)
    return json_response(model_object(installed, model), media_type=OBJECT_TYPE)


def _streamed(events: Events[Any]) -> Response:
    return EventReply(events, stream=True, fold=last, framing=FRAMING)


def _collected(events: Events[Any], fold: Callable[[list[Any]], object]) -> Response:
    return EventReply(events, stream=False, fold=fold, framing=FRAMING, object_type=OBJECT_TYPE)
