"""CORS: allow or refuse requests of web pages by their origin.

Requests of pages that are not allowed get 403: without it a page could still cause effects, only
not read the reply.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.middleware.replies import Header, send_empty
from server.http.origins import OriginPolicy
from server.request_record import current
from server.text.quoting import quoted

_STAINLESS = (
    "Arch Async Custom-Poll-Interval Helper Helper-Method Lang Os Package-Version Poll-Helper "
    "Retry-Count Runtime Runtime-Version Timeout"
)
_REQUEST_HEADERS = ",".join(
    [
        *"Authorization Content-Type User-Agent Accept X-Requested-With".split(),
        *"Openai-Beta Openai-Organization Openai-Project Idempotency-Key".split(),
        *"X-Api-Key Anthropic-Version Anthropic-Beta".split(),
        "Anthropic-Dangerous-Direct-Browser-Access",
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
            await send_empty(send, 204, self._preflight_headers(origin))
        else:
            await self._app(scope, receive, _with_headers(send, self._headers(origin)))

    def _headers(self, origin: str) -> tuple[Header, ...]:
        """Return the headers that let a page of `origin` read the reply."""
        if self._policy.allows_all:
            return ((b"access-control-allow-origin", b"*"),)
        return (b"access-control-allow-origin", origin.encode("latin-1")), _VARY_ORIGIN

    def _preflight_headers(self, origin: str) -> tuple[Header, ...]:
        """Return the headers of a preflight reply."""
        vary = () if self._policy.allows_all else _VARY_PREFLIGHT
        return (*self._headers(origin), *vary, *_PREFLIGHT)


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
