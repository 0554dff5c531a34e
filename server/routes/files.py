"""/v1/files (OpenAI): upload, list, read and delete files."""

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from server.http.direct_route import DirectRoute
from server.http.streaming import BARE_JSON_TYPE, json_response
from server.routes.dependencies import owner_of, services_of
from server.routes.pages import page_parameters, page_query

router = APIRouter(prefix="/v1/files", route_class=DirectRoute)
BODIES = ()
_MAX_LIMIT: Final = 10_000
_PARAMETERS: Final = page_parameters(_MAX_LIMIT, _MAX_LIMIT, ordered=True)
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string"},
                        "expires_after[anchor]": {"type": "string"},
                        "expires_after[seconds]": {"type": "integer"},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=_FORM)
async def upload_file(request: Request) -> Response:
    """Upload a file."""
    content_type = request.headers.get("content-type", "")
    files = services_of(request).files
    return _json(await files.upload(content_type, request.stream(), owner_of(request)))


@router.get("", openapi_extra={"parameters": _PARAMETERS})
async def list_files(request: Request) -> Response:
    """List files, the newest first."""
    query = page_query(request.query_params, _MAX_LIMIT, _MAX_LIMIT)
    purpose = request.query_params.get("purpose")
    return _json(await services_of(request).files.page(owner_of(request), query, purpose))


@router.get("/{file_id}")
async def get_file(request: Request, file_id: str) -> Response:
    """Describe a file."""
    return _json(await services_of(request).files.get(file_id, owner_of(request)))


@router.delete("/{file_id}")
async def delete_file(request: Request, file_id: str) -> Response:
    """Delete a file."""
    return _json(await services_of(request).files.delete(file_id, owner_of(request)))


@router.get("/{file_id}/content")
async def get_content(request: Request, file_id: str) -> Response:
    """Return the content of a file."""
    path = await services_of(request).files.content(file_id, owner_of(request))
    return FileResponse(path, media_type="application/octet-stream")


def _json(value: object) -> Response:
    return json_response(value, media_type=BARE_JSON_TYPE)
