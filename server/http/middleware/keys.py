"""API key check: who sent a request, whether the key's scopes allow it, and its limits."""

import base64

from starlette._utils import get_route_path  # the path as the router sees it
from starlette.types import ASGIApp, Receive, Scope, Send

from server.access.control import AccessControl
from server.access.limits import Meter
from server.access.scopes import Access, access_of
from server.caller import Caller, Priority
from server.caller import Scope as Needs
from server.errors import BadRequest, MissingScope, ServerError
from server.http.envelopes import envelope_for
from server.http.streaming import error_response
from server.request_record import current
from server.text.quoting import quoted

_SCHEME = "bearer "
_BASIC = "basic "
_REGISTRY = "/v2"
_PRIORITY = b"x-priority"
_BAD_PRIORITY = "the header X-Priority must be interactive or batch"


class KeyMiddleware:
    """Notes the caller of each request in its record, or refuses it with 401, 403 or 429.

    The limits of a key count the requests for inference.
    """

    def __init__(self, app: ASGIApp, access: AccessControl) -> None:
        self._app, self._access, self._keys = app, access, access.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        access = None
        if scope["type"] == "http":
            access = access_of(scope["method"], get_route_path(scope))
        if access is None or access.is_open:
            await self._app(scope, receive, send)
            return
        try:
            meter = await self._admit(scope, access)
        except ServerError as e:
            reply = error_response(e, envelope=envelope_for(scope))
            if reply.status_code == 401 and scope["path"].startswith(_REGISTRY):
                # For clients of registries a Bearer challenge names a server of tokens.
                reply.headers["www-authenticate"] = 'Basic realm="paddock"'
            await reply(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if meter is not None:
                meter.end()

    async def _admit(self, scope: Scope, access: Access) -> Meter | None:
        """Note who sent the request; return what counts it as running, if anything does.

        Raises:
            Unauthorized, MissingScope, RateLimited, BadRequest: it is refused.
        """
        record = current()
        known = await self._keys.authenticate(_tokens(scope))
        if known is not None:
            record.caller = known.caller
            _check(known.caller, access)
        if Needs.INFER not in access.scopes:
            return None
        is_batch = _requested_priority(scope) is Priority.BATCH
        record.is_background = is_batch or record.caller.priority is Priority.BATCH
        if known is None:
            return None
        record.charge = self._access.charge(known)
        meter, ticks = known.meter, self._keys.ticks
        if meter is None:
            return None
        try:
            meter.begin(ticks())
        finally:
            record.reply_headers += meter.headers(ticks())
        return meter


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


def _requested_priority(scope: Scope) -> Priority:
    for name, value in scope["headers"]:
        if name == _PRIORITY:
            try:
                return Priority(value.decode("latin-1").strip().lower())
            except ValueError:
                raise BadRequest(_BAD_PRIORITY) from None
    return Priority.INTERACTIVE


def _check(caller: Caller, access: Access) -> None:
    missing = access.scopes - caller.scopes
    if missing:
        scope = quoted(min(missing))
        raise MissingScope(f"the API key {quoted(caller.name)} lacks the scope {scope} for this")
