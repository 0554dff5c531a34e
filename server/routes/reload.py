"""POST /api/reload: take over what can change in the configuration."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.config.variables import SettingError
from server.errors import BadRequest, NotFound
from server.http.direct_route import DirectRoute
from server.http.streaming import json_response
from server.schemas.base import ApiModel

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = ()


@router.post("/reload")
async def reload(request: Request) -> Response:
    """Read the configuration again, and take over what can change."""
    reloader = getattr(request.app.state, "reloader", None)
    if reloader is None:
        raise NotFound("this server has no configuration to reload")
    try:
        outcome = await reloader()
    except SettingError as e:
        raise BadRequest(getattr(e, "place", str(e))) from None
    return json_response(
        {
            "status": "success",
            "changed": outcome.changed,
            "need_restart": outcome.need_restart,
            "models_changed": outcome.models,
        }
    )
