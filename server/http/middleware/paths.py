"""Redirect paths with empty, `.` or `..` elements to the normalised path."""

import posixpath
from html import escape

from starlette.types import ASGIApp, Receive, Scope, Send

_TEMPORARY, _PERMANENT = 307, 301
_REASONS = {_TEMPORARY: "Temporary Redirect", _PERMANENT: "Moved Permanently"}


class PathMiddleware:
    """Redirects paths that are not normalised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or redirect it."""
        if scope["type"] == "http":
            # The raw path: an escaped dot or slash is part of a name.
            path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
            if (plain := normalised_path(path)) != path:
                await send_redirect(scope, send, plain, _TEMPORARY)
                return
        await self._app(scope, receive, send)


def normalised_path(path: str) -> str:
    """Return `path` without empty, `.` and `..` elements; a trailing slash stays."""
    if path in ("", "/"):
        return "/"
    plain = posixpath.normpath(f"/{path.lstrip('/')}")
    return f"{plain}/" if path.endswith("/") and plain != "/" else plain


def slash_redirect(scope: Scope) -> int:
    """Return the status of the redirect to the same path without its trailing slash."""
    return _PERMANENT if scope["method"] == "GET" else _TEMPORARY


async def send_redirect(scope: Scope, send: Send, path: str, status: int) -> None:
    """Redirect the client to another path of this server."""
    query = scope.get("query_string", b"").decode("latin-1")
    location = f"{path}?{query}" if query else path
    body = ""
    if scope["method"] in ("GET", "HEAD"):
        body = f'<a href="{escape(location)}">{_REASONS[status]}</a>.\n\n'
    headers = [
        (b"location", location.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"text/html; charset=utf-8"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode("latin-1")})
