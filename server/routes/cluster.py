"""GET /api/cluster and POST /api/cluster/drain: the machines that compute, and rest for one."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.errors import NotFound
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import json_response
from server.native.cluster import cluster_response
from server.native.model_schemas import DrainRequest
from server.request_record import current
from server.routes.dependencies import services_of
from server.text.quoting import quoted

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES = (DrainRequest,)


@router.get("/cluster")
async def cluster(request: Request) -> Response:
    """List the machines with their memory, and the models that each has loaded."""
    services = services_of(request)
    nodes = services.cluster.nodes if services.cluster is not None else ()
    scheduler = services.scheduler
    # A machine that is back may be there twice for a while, until Ray has noticed that it had left.
    used = {machine.name for machine in scheduler.machines}
    problems = {n.report.name: n.problem for n in nodes if n.report.name not in used}
    statuses = [
        status for status in scheduler.status() if current().caller.may_use(status.request.name)
    ]
    return json_response(cluster_response(scheduler.machines, statuses, problems))


@router.post("/cluster/drain", openapi_extra=body_of(DrainRequest))
async def drain(request: Request) -> Response:
    """Load nothing more on a machine, and unload its models as soon as they are idle."""
    body = await read_body(request, DrainRequest)
    machines = services_of(request).scheduler.machines
    if not machines.drain(body.machine, is_draining=body.drain):
        raise NotFound(
            f"no machine that could be drained has the name {quoted(body.machine)}: "
            "GET /api/cluster lists the machines"
        )
    return json_response({"machine": body.machine, "draining": body.drain})
