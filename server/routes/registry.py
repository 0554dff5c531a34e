"""POST /api/pull and /api/push, with progress."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import BadRequest
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, EventReply
from server.model_names import stored_name
from server.native.model_schemas import PullRequest, PushRequest
from server.routes.dependencies import is_from_web_page, services_of

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (PullRequest, PushRequest)


@router.post("/pull", openapi_extra=body_of(PullRequest))
async def pull(request: Request) -> Response:
    """Pull a model; a client that disconnects stops it, and what has arrived is kept."""
    body = await read_body(request, PullRequest)
    name = stored_name(body.requested_model)
    services = services_of(request)
    work = services.registry.estimate if body.dry_run else services.pull
    return EventReply(
        services.until_closing(
            work(name, insecure=body.insecure, is_untrusted=is_from_web_page(request))
        ),
        stream=body.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )


@router.post("/push", openapi_extra=body_of(PushRequest))
async def push(request: Request) -> Response:
    """Push a model; a client that disconnects stops it."""
    body = await read_body(request, PushRequest)
    if not body.requested_model:
        raise BadRequest("model is required")
    services = services_of(request)
    return EventReply(
        services.until_closing(
            services.registry.push(
                body.requested_model,
                insecure=body.insecure,
                is_untrusted=is_from_web_page(request),
            )
        ),
        stream=body.stream,
        fold=lambda steps: steps[-1],
        object_type=BARE_JSON_TYPE,
    )
