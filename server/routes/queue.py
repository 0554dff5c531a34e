"""GET /api/queue, DELETE /api/requests/:id and POST /api/unload: see and end what is going on."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadRequest, NotFound
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import json_response
from server.inference.model_request import model_key
from server.inference.models import find_model
from server.native.model_schemas import UnloadRequest
from server.native.queue import cancellation, queue_response, unload_response
from server.routes.dependencies import services_of
from server.text.quoting import quoted

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (UnloadRequest,)


@router.get("/queue")
async def queue(request: Request) -> Response:
    """List the requests that wait for a model or use one, without their texts."""
    return json_response(queue_response(await services_of(request).queue.progress()))


@router.delete("/requests/{request_id}")
async def cancel(request_id: str, request: Request) -> Response:
    """Cancel a running request; its client gets an error."""
    if not services_of(request).queue.cancel(request_id):
        raise NotFound(f"no running request has the id {quoted(request_id)}")
    return json_response(cancellation(request_id))


@router.post("/unload", openapi_extra=body_of(UnloadRequest))
async def unload(request: Request) -> Response:
    """Unload a model, or all of them; those in use as soon as their requests have ended."""
    body = await read_body(request, UnloadRequest)
    name, services = body.requested_model, services_of(request)
    if body.all == bool(name):
        raise BadRequest('either "model" or "all": true is required')
    key = None
    if name:
        model = await asyncio.to_thread(find_model, services.store, name)
        key = await asyncio.to_thread(model_key, model)
    return json_response(unload_response(services.scheduler.unload(key, even_pinned=True)))
