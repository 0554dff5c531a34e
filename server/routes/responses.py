"""/v1/responses (OpenAI): create, get, delete and cancel responses, list their input items."""

import asyncio
import re

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadRequest
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.envelopes import openai_envelope
from server.http.openapi import body_of
from server.http.sse import EVENTS_TYPE, ServerSentEvents
from server.http.streaming import BARE_JSON_TYPE, EventReply, json_response, raw_json_response
from server.inference.models import find_model
from server.openai.responses.background import FrameFraming, Frames
from server.openai.responses.events import LifecycleEvent, StreamEvent
from server.openai.responses.framing import ResponseFraming
from server.openai.responses.pages import PARAMETERS, page_of, page_query
from server.openai.responses.reply import ResponseStream
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.wire import Deleted, InputTokens
from server.openai.responses.wire import Response as ResponseObject
from server.routes.dependencies import owner_of, services_of
from server.routes.replies import whole

router = APIRouter(prefix="/v1/responses", route_class=DirectRoute)
BODIES = (ResponsesRequest,)
_POSITION = re.compile(r"-1|[0-9]{1,9}")


@router.post("", openapi_extra=body_of(ResponsesRequest, stream=EVENTS_TYPE))
async def create_response(request: Request) -> Response:
    """Create a response to a text or to input items."""
    body = await read_body(request, ResponsesRequest)
    stream = ResponseStream(body)
    if body.background:
        return await _in_background(request, body, stream)
    return EventReply[StreamEvent](
        services_of(request).responses(body, stream, owner_of(request)),
        stream=body.stream,
        fold=_last,
        framing=ResponseFraming(stream),
        object_type=BARE_JSON_TYPE,
    )


async def _in_background(
    request: Request, body: ResponsesRequest, stream: ResponseStream
) -> Response:
    """Start a background response, and return it as it is, or its events."""
    services = services_of(request)
    await asyncio.to_thread(find_model, services.store, body.model, required=True)
    events = await services.responses.start(body, stream, owner_of(request))
    if body.stream:
        return _frames(events.after(-1))
    return json_response(stream.response, media_type=BARE_JSON_TYPE)


def _frames(frames: Frames) -> Response:
    return EventReply[bytes](
        frames, stream=True, fold=lambda frames: frames[-1], framing=FrameFraming()
    )


@router.post("/input_tokens", openapi_extra=body_of(ResponsesRequest))
async def input_tokens(request: Request) -> Response:
    """Count the prompt tokens of a request, without answering it."""
    body = await read_body(request, ResponsesRequest)
    services = services_of(request)

    async def count() -> InputTokens:
        conversation = await services.responses.conversation(body, owner_of(request))
        if not conversation.messages:
            raise BadRequest("input is required: there is nothing to count")
        return InputTokens(await services.chat.count(conversation))

    return whole(count, ServerSentEvents(openai_envelope), BARE_JSON_TYPE)


@router.get("/{response_id}")
@router.head("/{response_id}", include_in_schema=False)
async def get_response(request: Request, response_id: str) -> Response:
    """Return a response that is stored or in progress."""
    if request.query_params.get("stream") == "true":
        position = request.query_params.get("starting_after", "-1")
        if not _POSITION.fullmatch(position):
            raise BadRequest("starting_after must be the number of an event")
        return _frames(await services_of(request).responses.events(response_id, int(position)))
    response = await services_of(request).responses.get(response_id)
    return raw_json_response(response, media_type=BARE_JSON_TYPE)


@router.delete("/{response_id}")
async def delete_response(request: Request, response_id: str) -> Response:
    """Delete a stored response."""
    await services_of(request).responses.delete(response_id)
    return json_response(Deleted(id=response_id), media_type=BARE_JSON_TYPE)


@router.post("/{response_id}/cancel")
async def cancel_response(request: Request, response_id: str) -> Response:
    """Cancel a response in progress."""
    response = await services_of(request).responses.cancel(response_id)
    return raw_json_response(response, media_type=BARE_JSON_TYPE)


@router.get("/{response_id}/input_items", openapi_extra={"parameters": PARAMETERS})
@router.head("/{response_id}/input_items", include_in_schema=False)
async def get_input_items(request: Request, response_id: str) -> Response:
    """List the input items of a response."""
    query = page_query(request.query_params)
    items = await services_of(request).responses.input_items(response_id)
    return json_response(page_of(items, query), media_type=BARE_JSON_TYPE)


def _last(events: list[StreamEvent]) -> ResponseObject:
    """Return the response of the last event."""
    last = events[-1]
    assert isinstance(last, LifecycleEvent)
    return last.response
