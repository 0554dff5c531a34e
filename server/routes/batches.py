"""/v1/batches (OpenAI): create, list, read and cancel batches."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.body import read_body
from server.http.direct_route import DirectRoute
from server.http.openapi import body_of
from server.http.streaming import BARE_JSON_TYPE, json_response
from server.openai.batches.schemas import NewBatch
from server.routes.dependencies import owner_of, services_of
from server.routes.pages import page_parameters, page_query

router = APIRouter(prefix="/v1/batches", route_class=DirectRoute)
BODIES = (NewBatch,)
_LIMIT: Final = 20
_MAX_LIMIT: Final = 100
_PARAMETERS: Final = page_parameters(_LIMIT, _MAX_LIMIT)


@router.post("", openapi_extra=body_of(NewBatch))
async def create_batch(request: Request) -> Response:
    """Create a batch of the requests in a file."""
    body = await read_body(request, NewBatch)
    return _json(await services_of(request).batches.create(body, owner_of(request)))


@router.get("", openapi_extra={"parameters": _PARAMETERS})
async def list_batches(request: Request) -> Response:
    """List batches, the newest first."""
    query = page_query(request.query_params, _LIMIT, _MAX_LIMIT)
    return _json(await services_of(request).batches.page(owner_of(request), query))


@router.get("/{batch_id}")
async def get_batch(request: Request, batch_id: str) -> Response:
    """Return a batch and how far it is."""
    return _json(await services_of(request).batches.get(batch_id, owner_of(request)))


@router.post("/{batch_id}/cancel")
async def cancel_batch(request: Request, batch_id: str) -> Response:
    """Cancel a batch; the answers so far become files."""
    return _json(await services_of(request).batches.cancel(batch_id, owner_of(request)))


def _json(value: object) -> Response:
    return json_response(value, media_type=BARE_JSON_TYPE)
