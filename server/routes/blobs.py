"""/api/blobs/:digest: upload blobs, published once their digest is verified.

HEAD and POST are those of Ollama. PATCH resumes an upload that broke off, with the header fields of
the IETF draft "Resumable Uploads for HTTP".
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.digests import Digest
from model_store.errors import UploadConflict
from server.concurrency.threads import in_thread
from server.errors import BadRequest, NotFound
from server.http.direct_route import DirectRoute
from server.http.streaming import error_response
from server.routes.dependencies import services_of
from server.schemas.base import ApiModel

router = APIRouter(prefix="/api/blobs", route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = ()

_WRITE_SIZE = 1 << 20
_OFFSET = "upload-offset"
_COMPLETE = "upload-complete"
_PARTIAL_TYPE = "application/partial-upload"
_LARGEST_OFFSET_DIGITS = 18


@router.head("/{digest}")
async def has_blob(digest: str, request: Request) -> Response:
    """Return 200 if the blob exists, else 404 and how much of it has arrived."""
    store, expected = services_of(request).store, Digest.parse(digest)
    if await asyncio.to_thread(store.has_blob, expected):
        return Response()
    offset = await asyncio.to_thread(store.upload_offset, expected)
    error = NotFound(f'blob "{digest}" not found')
    return _refusal(error, {_OFFSET: str(offset), "accept-patch": _PARTIAL_TYPE})


@router.post("/{digest}", status_code=201)
async def put_blob(digest: str, request: Request) -> Response:
    """Store the body as a blob if its digest matches; it replaces a damaged blob."""
    expected, store = Digest.parse(digest), services_of(request).store
    if await in_thread(store.has_intact_blob, expected):
        return Response()
    writer = await asyncio.to_thread(store.blob_writer, expected)
    try:
        async for data in _pieces(request):
            await in_thread(writer.write, data)
        await in_thread(store.commit_blob, writer)
    finally:
        await in_thread(writer.discard)
    return Response(status_code=201)


@router.patch("/{digest}", status_code=201)
async def resume_blob(digest: str, request: Request) -> Response:
    """Append the body to what has arrived of a blob, from `Upload-Offset` on.

    With `Upload-Complete: ?1` the blob ends with the body, and is stored as by POST. What arrives
    before a connection breaks is kept for a day; HEAD tells how much it is.
    """
    expected, store = Digest.parse(digest), services_of(request).store
    offset = _offset(request)
    if await in_thread(store.has_intact_blob, expected):
        return Response()
    try:
        upload = await in_thread(store.resume_upload, expected, offset)
    except UploadConflict as e:
        return _refusal(e, {} if e.offset is None else {_OFFSET: str(e.offset)})
    try:
        async for data in _pieces(request):
            await in_thread(upload.write, data)
        if request.headers.get(_COMPLETE) != "?1":
            return Response(status_code=204, headers={_OFFSET: str(upload.size)})
        await in_thread(store.commit_blob, upload)
    finally:
        await in_thread(upload.keep)
    return Response(status_code=201)


def _offset(request: Request) -> int:
    text = request.headers.get(_OFFSET, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _LARGEST_OFFSET_DIGITS):
        raise BadRequest("Upload-Offset has to be the number of bytes that were sent before")
    return int(text)


def _refusal(error: Exception, headers: dict[str, str]) -> Response:
    reply = error_response(error)
    reply.headers.update(headers)
    return reply


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces large enough for the cost of a thread switch."""
    gathered = bytearray()
    async for data in request.stream():
        gathered += data
        if len(gathered) >= _WRITE_SIZE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
