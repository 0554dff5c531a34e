"""/v1/responses: OpenAI's API of responses that the server remembers."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadRequest
from server.http.body import read_body
from server.http.openapi import body_of
from server.http.sse import EVENTS_TYPE
from server.http.streaming import BARE_JSON_TYPE, EventReply, json_response, raw_json_response
from server.openai.responses.events import LifecycleEvent, StreamEvent
from server.openai.responses.framing import ResponseFraming
from server.openai.responses.pages import PARAMETERS, page_of, page_query
from server.openai.responses.reply import ResponseStream
from server.openai.responses.schemas import ResponsesRequest
from server.openai.responses.wire import Deleted
from server.openai.responses.wire import Response as ResponseObject
from server.routes.dependencies import services_of

router = APIRouter(prefix="/v1/responses")
BODIES = (ResponsesRequest,)


@router.post("", openapi_extra=body_of(ResponsesRequest, stream=EVENTS_TYPE))
async def create_response(request: Request) -> Response:
    """Answer a text or the items of a conversation."""
    body = await read_body(request, ResponsesRequest)
    stream = ResponseStream(body)
    return EventReply[StreamEvent](
        services_of(request).responses(body, stream),
        stream=body.stream,
        fold=_last,
        framing=ResponseFraming(stream),
        object_type=BARE_JSON_TYPE,
    )


@router.get("/{response_id}")
@router.head("/{response_id}", include_in_schema=False)
async def get_response(request: Request, response_id: str) -> Response:
    """Return a response that is kept or being made."""
    if request.query_params.get("stream") == "true":
        raise BadRequest("a response cannot be streamed again; leave out stream")
    found = await services_of(request).responses.get(response_id)
    return raw_json_response(found, media_type=BARE_JSON_TYPE)


@router.delete("/{response_id}")
async def delete_response(request: Request, response_id: str) -> Response:
    """Forget a response."""
    await services_of(request).responses.delete(response_id)
    return json_response(Deleted(id=response_id), media_type=BARE_JSON_TYPE)


@router.post("/{response_id}/cancel")
async def cancel_response(request: Request, response_id: str) -> Response:
    """End a response that is being made."""
    found = await services_of(request).responses.cancel(response_id)
    return raw_json_response(found, media_type=BARE_JSON_TYPE)


@router.get("/{response_id}/input_items", openapi_extra={"parameters": PARAMETERS})
@router.head("/{response_id}/input_items", include_in_schema=False)
async def get_input_items(request: Request, response_id: str) -> Response:
    """List what a response answers."""
    query = page_query(request.query_params)
    items = await services_of(request).responses.input_items(response_id)
    return json_response(page_of(items, query), media_type=BARE_JSON_TYPE)


def _last(events: list[StreamEvent]) -> ResponseObject:
    """Return the response as the last of its events tells it."""
    last = events[-1]
    assert isinstance(last, LifecycleEvent)
    return last.response
