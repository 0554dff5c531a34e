"""/ui: the web page, and its static files; /docs: the API reference."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from server.http.direct_route import DirectRoute
from server.page.negotiation import accepts_gzip
from server.page.static_files import StaticFile, page
from server.request_record import current
from server.schemas.base import ApiModel

router = APIRouter(route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = ()

# `trusted-types` without a name: no text can become markup or code, not even by a mistake in the
# page itself. Images and audio that a person adds are blobs and data of the page's own.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' blob: data:; "
    "media-src blob: data:; "
    "connect-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_REFERENCE_POLICY = (
    "default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_REVALIDATE = "no-cache"
_FOR_GOOD = "public, max-age=31536000, immutable"
_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "vary": "Accept-Encoding",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def document(request: Request) -> Response:
    """Return the page."""
    return _reply(request, (await asyncio.to_thread(page)).document, _REVALIDATE)


async def static_file(request: Request) -> Response:
    """Return a file of the page, by its version and name."""
    path = request.path_params["path"]
    if not path:
        return RedirectResponse("../ui", 307)
    current_page = await asyncio.to_thread(page)
    version, _, name = path.partition("/")
    file = current_page.files.get(name) if version == current_page.version else None
    if file is None:
        current().error = "404 page not found"
        return PlainTextResponse("404 page not found", 404, {"content-type": "text/plain"})
    return _reply(request, file, _FOR_GOOD)


async def reference(request: Request) -> Response:
    """Return the API reference."""
    # A server that nobody asks for it starts without it.
    from server.page.api_reference import STYLE_SOURCE, api_reference  # noqa: PLC0415

    text = await asyncio.to_thread(lambda: api_reference(request.app.openapi()))
    policy = _REFERENCE_POLICY.format(style=STYLE_SOURCE)
    return HTMLResponse(text, headers={**_HEADERS, "content-security-policy": policy})


def _reply(request: Request, file: StaticFile, caching: str) -> Response:
    accepts = accepts_gzip(request.headers.get("accept-encoding", ""))
    sent = file.compressed if accepts else file.plain
    headers = {
        **_HEADERS,
        "cache-control": caching,
        "etag": sent.etag,
        "content-type": file.content_type,
    }
    if _is_known(request, sent.etag):
        return Response(status_code=304, headers=headers)
    if sent.coding:
        headers["content-encoding"] = sent.coding
    return Response(sent.content, headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    """Return whether the client has these very bytes; a proxy may have made the ETag a weak one."""
    known = (tag.strip() for tag in request.headers.get("if-none-match", "").split(","))
    return any(tag.removeprefix("W/") == etag for tag in known)


# Nothing of these requests is parsed or described, so they need no routes of FastAPI.
router.add_route("/ui", document, ["GET"])
router.add_route("/docs", reference, ["GET"])
router.add_route("/ui/{path:path}", static_file, ["GET"])
