"""/v1/messages: the API that Anthropic's clients speak."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.anthropic.conversation import conversation_of
from server.anthropic.estimate import estimated_tokens
from server.anthropic.framing import MessageFraming
from server.anthropic.schemas import CountTokensRequest, MessagesRequest
from server.anthropic.stream import message_events, message_of
from server.anthropic.wire import StreamEvent, TokenCount
from server.body import read_body
from server.openapi import body_of
from server.routes.dependencies import services_of
from server.streaming import BARE_JSON_TYPE, EventReply, json_response

router = APIRouter(prefix="/v1/messages")
BODIES = (MessagesRequest, CountTokensRequest)


@router.post("", openapi_extra=body_of(MessagesRequest))
async def messages(request: Request) -> Response:
    """Continue a conversation."""
    wanted = await read_body(request, MessagesRequest)
    events = services_of(request).chat(conversation_of(wanted))
    n_input = estimated_tokens(wanted) if wanted.stream else 0
    return EventReply[StreamEvent](
        message_events(events, model=wanted.model, n_input=n_input),
        stream=wanted.stream,
        fold=message_of,
        framing=MessageFraming(),
        object_type=BARE_JSON_TYPE,
    )


@router.post("/count_tokens", openapi_extra=body_of(CountTokensRequest))
async def count_tokens(request: Request) -> Response:
    """Count the tokens of a conversation, as the model would read it."""
    wanted = await read_body(request, CountTokensRequest)
    n_tokens = await services_of(request).chat.count(conversation_of(wanted))
    return json_response(TokenCount(n_tokens), media_type=BARE_JSON_TYPE)
