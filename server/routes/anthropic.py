"""POST /v1/messages and /v1/messages/count_tokens (Anthropic)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.anthropic.estimate import estimated_tokens
from server.anthropic.framing import MessageFraming
from server.anthropic.reply import message_events, message_of
from server.anthropic.request import conversation_of, remote_images
from server.anthropic.schemas import CountTokensRequest, MessagesRequest
from server.anthropic.wire import StreamEvent, TokenCount
from server.http.body import converted, read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.sse import EVENTS_TYPE
from server.http.streaming import BARE_JSON_TYPE, EventReply
from server.inference.conversation import Conversation
from server.routes.dependencies import services_of
from server.routes.replies import whole

router = APIRouter(prefix="/v1/messages", route_class=DirectRoute)
BODIES = (MessagesRequest, CountTokensRequest)


@router.post("", openapi_extra=body_of(MessagesRequest, stream=EVENTS_TYPE))
async def messages(request: Request) -> Response:
    """Continue a conversation."""
    body = await read_body(request, MessagesRequest)
    services = services_of(request)
    n_input = await converted(request, estimated_tokens, body) if body.stream else 0
    events = services.chat(await _conversation(request, body))
    return EventReply[StreamEvent](
        message_events(events, model=body.model, n_input=n_input, stops=body.stop_sequences),
        stream=body.stream,
        fold=message_of,
        framing=MessageFraming(),
        object_type=BARE_JSON_TYPE,
    )


@router.post("/count_tokens", openapi_extra=body_of(CountTokensRequest))
async def count_tokens(request: Request) -> Response:
    """Count the prompt tokens of a conversation."""
    body = await read_body(request, CountTokensRequest)
    services = services_of(request)
    conversation = await _conversation(request, body)

    async def counted() -> TokenCount:
        return TokenCount(await services.chat.count(conversation))

    return whole(counted, MessageFraming(), BARE_JSON_TYPE)


async def _conversation(request: Request, body: CountTokensRequest) -> Conversation:
    images = services_of(request).remote_images
    fetched = await images.fetch(remote_images(body)) if images.is_allowed else {}
    return await converted(request, conversation_of, body, fetched)
