"""/api/tags, show, ps, copy and delete."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.errors import InvalidName, ModelNotFound
from model_store.names import ModelName
from server.errors import BadRequest, NotFound
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import raw_json_response
from server.library.description import Variation
from server.model_names import changeable_name, stored_name
from server.native.model_schemas import CopyRequest, DeleteRequest, ShowRequest
from server.peers.protocol import PEER_HEADER
from server.routes.dependencies import metrics_of, services_of
from server.text.quoting import quoted

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (ShowRequest, CopyRequest, DeleteRequest)


@router.get("/tags")
@router.head("/tags", include_in_schema=False)
async def tags(request: Request) -> Response:
    """List the installed models, and those of peers for clients."""
    services = services_of(request)
    data = await asyncio.to_thread(services.library.tags)
    if services.peers is not None and PEER_HEADER not in request.headers:
        data = await asyncio.to_thread(services.peers.merged, data)
    return raw_json_response(data)


@router.get("/ps")
async def ps(request: Request) -> Response:
    """List the loaded models."""
    return raw_json_response(await services_of(request).library.running())


@router.post("/show", openapi_extra=body_of(ShowRequest))
async def show(request: Request) -> Response:
    """Describe a model."""
    body = await read_body(request, ShowRequest)
    agent = request.headers.get("user-agent", "")
    library = services_of(request).library
    variation = Variation(system=body.system, options=body.options, verbose=body.verbose)
    return raw_json_response(
        await asyncio.to_thread(library.show, body.requested_model, variation, agent)
    )


@router.post("/copy", openapi_extra=body_of(CopyRequest))
async def copy(request: Request) -> Response:
    """Copy a model to a second name."""
    body = await read_body(request, CopyRequest)
    source = _name_of(body.source, "source")
    destination = _name_of(body.destination, "destination")
    services = services_of(request)
    try:
        await asyncio.to_thread(services.store.copy, source, destination)
    except ModelNotFound:
        raise NotFound(f"model {quoted(body.source)} not found") from None
    await services.retire_replaced(destination)
    return Response()


def _name_of(text: str, field: str) -> ModelName:
    try:
        return changeable_name(text)
    except InvalidName:
        raise BadRequest(f"{field} {quoted(text)} is invalid") from None


@router.delete("/delete", openapi_extra=body_of(DeleteRequest))
async def delete(request: Request) -> Response:
    """Delete a model; a loaded one is unloaded as soon as it is idle."""
    text = (await read_body(request, DeleteRequest)).requested_model
    if not text.strip():
        raise BadRequest("model is required")
    services = services_of(request)
    try:
        name = await asyncio.to_thread(services.store.delete, stored_name(text))
    except InvalidName:
        raise BadRequest(f"name {quoted(text)} is invalid") from None
    except ModelNotFound:
        raise NotFound(f"model '{text}' not found") from None
    await services.retire_replaced(name)
    metrics_of(request).requests.forget(name.short)
    return Response()
