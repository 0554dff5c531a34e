"""/api/keys and /api/usage: list, make and revoke API keys, and what they have used."""

import asyncio
import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.access.control import AccessControl
from server.access.key_changes import create_key, revoke_key
from server.caller import Scope
from server.errors import BadRequest, Forbidden
from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import json_response
from server.native.keys import NewKeyRequest, key_object, usage_response
from server.request_record import current
from server.schemas.base import ApiModel

router = APIRouter(prefix="/api", route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = (NewKeyRequest,)

_DEFAULT_DAYS, _MAX_DAYS = 30, 366


@router.get("/keys")
async def keys(request: Request) -> Response:
    """List the API keys, revoked ones included, without their tokens."""
    known = _access(request).keys
    await known.refresh()
    return json_response({"keys": [key_object(key) for key in known.all()]})


@router.post("/keys", openapi_extra=body_of(NewKeyRequest), status_code=201)
async def new_key(request: Request) -> Response:
    """Make an API key; its token is in the reply, and is not told again."""
    wanted = (await read_body(request, NewKeyRequest)).to_domain()
    known = _access(request).keys
    if not known.are_required:
        raise Forbidden(
            "the first API key is made where the server runs: `paddock key create NAME --scope "
            "infer --scope read --scope manage`"
        )
    key, token = await asyncio.to_thread(create_key, known.path, wanted, time.time())
    await known.refresh()
    return json_response({**key_object(key), "key": token}, 201)


@router.delete("/keys/{name}")
async def revoke(name: str, request: Request) -> Response:
    """Revoke an API key."""
    known = _access(request).keys
    key = await asyncio.to_thread(revoke_key, known.path, name, time.time())
    await known.refresh()
    return json_response(key_object(key))


@router.get("/usage")
async def usage(request: Request) -> Response:
    """Return requests and tokens by day, key and model; of the own key alone without `manage`."""
    caller, query = current().caller, request.query_params
    key = query.get("key", "") if Scope.MANAGE in caller.scopes else caller.name
    days = query.get("days", str(_DEFAULT_DAYS))
    if not (days.isascii() and days.isdigit() and 1 <= int(days[:4]) <= _MAX_DAYS):
        raise BadRequest(f"days must be a whole number from 1 to {_MAX_DAYS}")
    rows = await asyncio.to_thread(_access(request).usage.rows, int(days), key)
    return json_response(usage_response(rows))


def _access(request: Request) -> AccessControl:
    access = request.app.state.access
    assert isinstance(access, AccessControl)
    return access
