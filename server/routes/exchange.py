"""pull and push: models from registries and to them, each step told."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadRequest
from server.http.body import read_body
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, EventReply
from server.model_names import stored_name
from server.routes.dependencies import services_of
from server.schemas.library import PullRequest, PushRequest

router = APIRouter(prefix="/api")
BODIES = (PullRequest, PushRequest)


@router.post("/pull", openapi_extra=body_of(PullRequest))
async def pull(request: Request) -> Response:
    """Bring a model here; a client that leaves stops it, and what has come is kept."""
    wanted = await read_body(request, PullRequest)
    name = stored_name(wanted.wanted)
    services = services_of(request)
    work = services.exchange.estimate if wanted.dry_run else services.pull
    return EventReply(
        work(name, insecure=wanted.insecure),
        stream=wanted.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )


@router.post("/push", openapi_extra=body_of(PushRequest))
async def push(request: Request) -> Response:
    """Send a model to its registry; a client that leaves stops it."""
    wanted = await read_body(request, PushRequest)
    if not wanted.wanted:
        raise BadRequest("model is required")
    return EventReply(
        services_of(request).exchange.push(wanted.wanted, insecure=wanted.insecure),
        stream=wanted.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )
