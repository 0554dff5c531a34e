"""CORS: allow or refuse requests of web pages by their origin.

Requests of pages that are not allowed get 403: without it a page could still cause effects, only
not read the reply.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.middleware.replies import Header, send_empty
from server.request_record import current
from server.text.quoting import quoted

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - compared with, not bound to
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_STAINLESS = (
    "Arch Async Custom-Poll-Interval Helper-Method Lang Os Package-Version Poll-Helper "
    "Retry-Count Runtime Runtime-Version Timeout"
)
_REQUEST_HEADERS = ",".join(
    [
        *"Authorization Content-Type User-Agent Accept X-Requested-With Openai-Beta".split(),
        *(f"X-Stainless-{name}" for name in _STAINLESS.split()),
    ]
)
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
    (b"access-control-allow-headers", _REQUEST_HEADERS.encode()),
    (b"access-control-max-age", b"43200"),
)
_VARY_ORIGIN: Header = (b"vary", b"Origin")
_VARY_PREFLIGHT: tuple[Header, ...] = (
    (b"vary", b"Access-Control-Request-Method"),
    (b"vary", b"Access-Control-Request-Headers"),
)


class OriginPolicy:
    """The allowed origins: `configured` ones, this machine's pages and desktop applications."""

    def __init__(self, configured: Sequence[str]) -> None:
        local = [f"{scheme}://{host}" for host in _LOCAL_HOSTS for scheme in ("http", "https")]
        entries = [*configured, *local, *(f"{origin}:*" for origin in local), *_APPS]
        self.allows_all = "*" in configured
        self._exact = frozenset(entry.lower() for entry in entries if "*" not in entry)
        self._patterns = tuple(
            (head, tail) for head, _, tail in (e.partition("*") for e in entries if "*" in e)
        )

    def allows(self, origin: str) -> bool:
        """Return whether a page of `origin` may use the API."""
        if self.allows_all or origin in self._exact:
            return True
        return any(
            len(origin) >= len(head) + len(tail)
            and origin.startswith(head)
            and origin.endswith(tail)
            for head, tail in self._patterns
        )

    def headers(self, origin: str) -> tuple[Header, ...]:
        """Return the headers that let a page of `origin` read the reply."""
        if self.allows_all:
            return ((b"access-control-allow-origin", b"*"),)
        return (b"access-control-allow-origin", origin.encode("latin-1")), _VARY_ORIGIN

    def preflight_headers(self, origin: str) -> tuple[Header, ...]:
        """Return the headers of a preflight reply."""
        vary = () if self.allows_all else _VARY_PREFLIGHT
        return (*self.headers(origin), *vary, *_PREFLIGHT)


class CORSMiddleware:
    """Refuses pages that are not allowed with 403, answers preflights, adds headers to replies."""

    def __init__(self, app: ASGIApp, policy: OriginPolicy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        origin = _foreign_origin(scope)
        if origin is None:
            await self._app(scope, receive, send)
        elif not self._policy.allows(origin):
            current().error = f"pages of {quoted(origin)} may not use the API; see OLLAMA_ORIGINS"
            await send_empty(send, 403)
        elif scope["method"] == "OPTIONS":
            await send_empty(send, 204, self._policy.preflight_headers(origin))
        else:
            await self._app(scope, receive, _with_headers(send, self._policy.headers(origin)))


def _foreign_origin(scope: Scope) -> str | None:
    """Return the origin of the requesting page, None without one or for the server's own."""
    if scope["type"] != "http":
        return None
    headers = Headers(scope=scope)
    origin, host = headers.get("origin"), headers.get("host", "")
    return None if origin in (None, f"http://{host}", f"https://{host}") else origin


def _with_headers(send: Send, extra: tuple[Header, ...]) -> Send:
    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return forward
