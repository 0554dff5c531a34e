"""tags, show, ps, copy and delete."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.errors import InvalidName, ModelNotFound
from model_store.names import ModelName
from server.errors import BadRequest, NotFound
from server.http.body import read_body
from server.http.openapi import body_of
from server.http.streaming import raw_json_response
from server.model_names import stored_name
from server.routes.dependencies import services_of
from server.schemas.library import CopyRequest, DeleteRequest, ShowRequest
from server.text.quoting import quoted

router = APIRouter(prefix="/api")
BODIES = (ShowRequest, CopyRequest, DeleteRequest)


@router.get("/tags")
@router.head("/tags", include_in_schema=False)
async def tags(request: Request) -> Response:
    """List the installed models."""
    return raw_json_response(await asyncio.to_thread(services_of(request).library.tags))


@router.get("/ps")
async def ps(request: Request) -> Response:
    """List the models in memory."""
    return raw_json_response(services_of(request).library.running())


@router.post("/show", openapi_extra=body_of(ShowRequest))
async def show(request: Request) -> Response:
    """Describe a model."""
    wanted = await read_body(request, ShowRequest)
    agent = request.headers.get("user-agent", "")
    library = services_of(request).library
    return raw_json_response(await asyncio.to_thread(library.show, wanted, agent))


@router.post("/copy", openapi_extra=body_of(CopyRequest))
async def copy(request: Request) -> Response:
    """Give a model a second name."""
    wanted = await read_body(request, CopyRequest)
    source = _end(wanted.source, "source")
    destination = _end(wanted.destination, "destination")
    services = services_of(request)
    try:
        await asyncio.to_thread(services.store.copy, source, destination)
    except ModelNotFound:
        raise NotFound(f"model {quoted(wanted.source)} not found") from None
    await services.retire_replaced(destination)
    return Response()


def _end(text: str, field: str) -> ModelName:
    try:
        return ModelName.parse(text)
    except InvalidName:
        raise BadRequest(f"{field} {quoted(text)} is invalid") from None


@router.delete("/delete", openapi_extra=body_of(DeleteRequest))
async def delete(request: Request) -> Response:
    """Remove a model; one that is in memory goes as soon as it is idle."""
    wanted = (await read_body(request, DeleteRequest)).wanted
    if not wanted.strip():
        raise BadRequest("model is required")
    services = services_of(request)
    try:
        name = await asyncio.to_thread(services.store.delete, stored_name(wanted))
    except InvalidName:
        raise BadRequest(f"name {quoted(wanted)} is invalid") from None
    except ModelNotFound:
        raise NotFound(f"model '{wanted}' not found") from None
    await services.retire_replaced(name)
    return Response()
