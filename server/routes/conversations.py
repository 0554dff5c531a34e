"""/v1/conversations (OpenAI): conversations, whose items responses read and add to."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, json_response
from server.openai.responses.pages import PARAMETERS, page_of, page_query
from server.openai.responses.schemas import (
    ConversationRequest,
    ConversationUpdate,
    NewItemsRequest,
)
from server.routes.dependencies import services_of

router = APIRouter(prefix="/v1/conversations", route_class=DirectRoute)
BODIES = (ConversationRequest, ConversationUpdate, NewItemsRequest)


@router.post("", openapi_extra=body_of(ConversationRequest))
async def create_conversation(request: Request) -> Response:
    """Create a conversation."""
    body = await read_body(request, ConversationRequest)
    return _json(await services_of(request).conversations.create(body.metadata, body.items))


@router.get("/{conversation_id}")
async def get_conversation(request: Request, conversation_id: str) -> Response:
    """Return a conversation."""
    return _json(await services_of(request).conversations.get(conversation_id))


@router.post("/{conversation_id}", openapi_extra=body_of(ConversationUpdate))
async def update_conversation(request: Request, conversation_id: str) -> Response:
    """Replace the metadata of a conversation."""
    body = await read_body(request, ConversationUpdate)
    return _json(await services_of(request).conversations.update(conversation_id, body.metadata))


@router.delete("/{conversation_id}")
async def delete_conversation(request: Request, conversation_id: str) -> Response:
    """Delete a conversation with its items."""
    return _json(await services_of(request).conversations.delete(conversation_id))


@router.post("/{conversation_id}/items", openapi_extra=body_of(NewItemsRequest))
async def add_items(request: Request, conversation_id: str) -> Response:
    """Add items to a conversation."""
    body = await read_body(request, NewItemsRequest)
    return _json(await services_of(request).conversations.add(conversation_id, body.items))


@router.get("/{conversation_id}/items", openapi_extra={"parameters": PARAMETERS})
async def list_items(request: Request, conversation_id: str) -> Response:
    """List the items of a conversation."""
    query = page_query(request.query_params)
    items = await services_of(request).conversations.items(conversation_id)
    return _json(page_of(items, query))


@router.get("/{conversation_id}/items/{item_id}")
async def get_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """Return an item of a conversation."""
    return _json(await services_of(request).conversations.item(conversation_id, item_id))


@router.delete("/{conversation_id}/items/{item_id}")
async def delete_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """Delete an item of a conversation."""
    return _json(await services_of(request).conversations.delete_item(conversation_id, item_id))


def _json(value: object) -> Response:
    return json_response(value, media_type=BARE_JSON_TYPE)
