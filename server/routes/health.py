"""/metrics for Prometheus, and /livez, /readyz and /health for those who watch the server."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from model_store.errors import StorageFailed
from server.http.direct_route import DirectRoute
from server.http.streaming import json_response
from server.request_record import current
from server.routes.dependencies import metrics_of, services_of
from server.schemas.base import ApiModel

router = APIRouter(route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = ()

_NO_CACHE = {"cache-control": "no-store"}
_OK = "ok"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the metrics, in the format of Prometheus or, if it is accepted, OpenMetrics."""
    usage = await services_of(request).scheduler.usage()
    accept = request.headers.get("accept", "")
    text, content_type = metrics_of(request).exposition(usage, accept, current().caller)
    return Response(text, headers={"content-type": content_type, **_NO_CACHE})


@router.get("/livez")
@router.head("/livez", include_in_schema=False)
async def livez() -> Response:
    """Answer as long as the event loop turns; a server that does not is to be restarted."""
    return PlainTextResponse(_OK, headers=_NO_CACHE)


@router.get("/health")
@router.head("/health", include_in_schema=False)
async def health() -> Response:
    """Answer as llama-server does once it accepts requests."""
    return json_response({"status": _OK})


@router.get("/readyz")
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """Tell whether requests can be served: models can be read and added, and runners start."""
    services = services_of(request)
    checks = {"models": _OK, "runners": _OK}
    try:
        await asyncio.to_thread(services.store.check)
    except StorageFailed as e:
        checks["models"] = str(e)
    if not services.scheduler.can_start_runners:
        checks["runners"] = "the last runner could not be started; the server's log says why"
    is_ready = all(check == _OK for check in checks.values())
    reply = json_response(
        {"status": _OK if is_ready else "unavailable", "checks": checks}, 200 if is_ready else 503
    )
    reply.headers.update(_NO_CACHE)
    return reply
