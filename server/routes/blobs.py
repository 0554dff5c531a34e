"""HEAD and POST /api/blobs/:digest: upload blobs, published once their digest is verified."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from model_store.digests import Digest
from server.concurrency.threads import in_thread
from server.errors import NotFound
from server.routes.dependencies import services_of
from server.schemas.base import ApiModel

router = APIRouter(prefix="/api/blobs")
BODIES: tuple[type[ApiModel], ...] = ()

_WRITE_SIZE = 1 << 20


@router.head("/{digest}")
async def has_blob(digest: str, request: Request) -> Response:
    """Return 200 if the blob exists, else 404."""
    store = services_of(request).store
    if not await asyncio.to_thread(store.has_blob, Digest.parse(digest)):
        raise NotFound(f'blob "{digest}" not found')
    return Response()


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


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces large enough for the cost of a thread switch."""
    gathered = bytearray()
    async for data in request.stream():
        gathered += data
        if len(gathered) >= _WRITE_SIZE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
