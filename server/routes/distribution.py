"""/v2/: the OCI distribution API, read-only, by which others pull the installed models.

Paths are those of a container registry: `/v2/<repository>/manifests/<tag or digest>`,
`/v2/<repository>/blobs/<digest>`, `/v2/<repository>/tags/list` and `/v2/_catalog`.
"""

import re
from collections.abc import Callable
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store import errors as store
from model_store.manifests import MANIFEST_TYPE, OCI_MANIFEST_TYPE
from model_store.shared_models import SharedModels
from server.concurrency.threads import in_thread
from server.http.direct_route import DirectRoute
from server.http.envelopes import registry_errors
from server.http.file_reply import FileReply
from server.http.streaming import BARE_JSON_TYPE, json_response
from server.request_record import current
from server.routes.dependencies import services_of

router = APIRouter(prefix="/v2", route_class=DirectRoute)

_VERSION = {"docker-distribution-api-version": "registry/2.0"}
_BLOB_TYPE = "application/octet-stream"
_PAGE = 1000
_COUNT = re.compile(r"[0-9]{1,6}\Z")
_CODES: tuple[tuple[type[store.StoreError], int, str], ...] = (
    (store.RepositoryNotFound, 404, "NAME_UNKNOWN"),
    (store.ModelNotFound, 404, "MANIFEST_UNKNOWN"),
    (store.BlobNotFound, 404, "BLOB_UNKNOWN"),
    (store.InvalidDigest, 400, "DIGEST_INVALID"),
    (store.InvalidName, 400, "NAME_INVALID"),
)
"""Codes of the specification; the first class that fits counts."""


@router.get("/")
@router.head("/", include_in_schema=False)
async def api_version() -> Response:
    """Say that the API is here."""
    return _answer({})


@router.get("/_catalog")
async def catalog(request: Request) -> Response:
    """List the repositories."""
    return await _list(request, "repositories", _shared(request).repositories)


@router.get("/{repository:path}/tags/list")
async def tags(repository: str, request: Request) -> Response:
    """List the tags of a repository."""
    shared = _shared(request)
    return await _list(request, "tags", lambda: shared.tags(repository), name=repository)


@router.get("/{repository:path}/manifests/{reference}")
@router.head("/{repository:path}/manifests/{reference}", include_in_schema=False)
async def manifest(repository: str, reference: str, request: Request) -> Response:
    """Return a manifest: byte for byte as it was installed, or with OCI's media type."""
    try:
        found = await in_thread(
            _shared(request).manifest,
            repository,
            reference,
            prefers_oci=_prefers_oci(request.headers.getlist("accept")),
        )
    except store.StoreError as e:
        return _refusal(e)
    digest = str(found.digest)
    headers = {"docker-content-digest": digest, "etag": f'"{digest}"', **_VERSION}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=found.media_type)


@router.get("/{repository:path}/blobs/{digest}")
@router.head("/{repository:path}/blobs/{digest}", include_in_schema=False)
async def blob(repository: str, digest: str, request: Request) -> Response:
    """Return a blob or a part of it."""
    try:
        file = await in_thread(_shared(request).open_blob, repository, digest)
    except store.StoreError as e:
        return _refusal(e)
    return FileReply(
        file,
        etag=f'"{digest}"',
        request_headers=request.headers,
        headers={"content-type": _BLOB_TYPE, "docker-content-digest": digest, **_VERSION},
    )


@router.api_route(
    "/{rest:path}", methods=["POST", "PUT", "PATCH", "DELETE"], include_in_schema=False
)
async def refuse_change() -> Response:
    """Refuse uploads and deletions: models are installed through the native API."""
    text = "this registry is read-only: push the model to another one"
    reply = _error(405, "UNSUPPORTED", text)
    reply.headers["allow"] = "GET, HEAD"
    return reply


def _prefers_oci(accept: list[str]) -> bool:
    """Return whether a client lists OCI's manifests before Docker's, as tools for images do.

    The reference and paddock list Docker's alone or first, and get the bytes as installed.
    """
    listed = [part.partition(";")[0].strip() for line in accept for part in line.split(",")]
    known = [each for each in listed if each in (MANIFEST_TYPE, OCI_MANIFEST_TYPE)]
    return known[:1] == [OCI_MANIFEST_TYPE]


def _shared(request: Request) -> SharedModels:
    """Return the models that the API key of the request is for."""
    caller = current().caller
    return services_of(request).store.shared(lambda name: caller.may_use(name.short))


async def _list(
    request: Request, field: str, read: Callable[[], list[str]], **fields: str
) -> Response:
    """Return a page of names, with a link to the next one: parameters `n` and `last`."""
    try:
        names = await in_thread(read)
    except store.StoreError as e:
        return _refusal(e)
    last, size = request.query_params.get("last", ""), request.query_params.get("n", str(_PAGE))
    if not _COUNT.match(size):
        text = "the parameter n must be a whole number from 0 to 999999"
        return _error(400, "PAGINATION_NUMBER_INVALID", text)
    left = [name for name in names if name > last]
    page = left[: min(int(size), _PAGE)]
    reply = _answer({**fields, field: page})
    if page and len(page) < len(left):
        path = f"{request.scope['path']}?n={len(page)}&last={quote(page[-1], safe='')}"
        reply.headers["link"] = f'<{path}>; rel="next"'
    return reply


def _answer(value: object) -> Response:
    reply = json_response(value, media_type=BARE_JSON_TYPE)
    reply.headers.update(_VERSION)
    return reply


def _refusal(error: store.StoreError) -> Response:
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            return _error(status, code, str(error))
    raise error


def _error(status: int, code: str, text: str) -> Response:
    current().error = text
    reply = json_response(registry_errors(code, text), status, BARE_JSON_TYPE)
    reply.headers.update(_VERSION)
    return reply
