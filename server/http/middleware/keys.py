"""API key check: who sent a request, and whether the key's scopes allow its route."""

import base64

from starlette._utils import get_route_path  # the path as the router sees it
from starlette.types import ASGIApp, Receive, Scope, Send

from server.access.keys import Keys
from server.access.scopes import Access, access_of
from server.caller import Caller
from server.errors import MissingScope, ServerError
from server.http.envelopes import envelope_for
from server.http.streaming import error_response
from server.request_record import current
from server.text.quoting import quoted

_SCHEME = "bearer "
_BASIC = "basic "
_REGISTRY = "/v2"


class KeyMiddleware:
    """Notes the caller of each request in its record, or refuses it with 401 or 403."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "http":
            access = access_of(scope["method"], get_route_path(scope))
            if not access.is_open:
                try:
                    current().caller = caller = await self._keys.authenticate(_tokens(scope))
                    _check(caller, access)
                except ServerError as e:
                    reply = error_response(e, envelope=envelope_for(scope))
                    if reply.status_code == 401 and scope["path"].startswith(_REGISTRY):
                        # For clients of registries a Bearer challenge names a server of tokens.
                        reply.headers["www-authenticate"] = 'Basic realm="paddock"'
                    await reply(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _tokens(scope: Scope) -> list[str]:
    """Return the keys that a request brings; some clients send a real one and another."""
    tokens = []
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            tokens.append(value.decode("latin-1").strip())
        elif name == b"authorization":
            text = value.decode("latin-1").strip()
            if text[: len(_SCHEME)].lower() == _SCHEME:
                tokens.append(text[len(_SCHEME) :].strip())
            elif text[: len(_BASIC)].lower() == _BASIC:
                tokens.append(_password(text[len(_BASIC) :]))
    return [token for token in tokens if token]


def _password(encoded: str) -> str:
    """Return the password of Basic credentials, "" if there is none."""
    try:
        return base64.b64decode(encoded.strip()).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""


def _check(caller: Caller, access: Access) -> None:
    missing = access.scopes - caller.scopes
    if missing:
        scope = quoted(min(missing))
        raise MissingScope(f"the API key {quoted(caller.name)} lacks the scope {scope} for this")
