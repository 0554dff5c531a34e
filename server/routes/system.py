"""`/`, `/api/version`, `/api/status`, and a refusal for the endpoints of accounts."""

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from server.errors import NotFound
from server.http.direct_route import DirectRoute
from server.http.streaming import json_response
from server.page.negotiation import is_browser_navigation
from server.schemas.base import ApiModel
from server.versions import PADDOCK, REFERENCE

router = APIRouter(route_class=DirectRoute)
BODIES: tuple[type[ApiModel], ...] = ()


@router.get("/")
@router.head("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """Return the text by which clients recognise a running server; browsers go to the page."""
    headers = request.headers
    if is_browser_navigation(headers.get("accept", ""), headers.get("user-agent", "")):
        # A relative address: a proxy may serve this server below a path of its own.
        return RedirectResponse("ui", 302, {"vary": "Accept, User-Agent"})
    return PlainTextResponse("Ollama is running")


@router.get("/api/version")
@router.head("/api/version", include_in_schema=False)
async def api_version() -> Response:
    """Return the matched version of the reference server and paddock's own."""
    return json_response({"version": REFERENCE, "paddock": PADDOCK})


@router.post("/api/me")
@router.post("/api/signout")
async def accounts() -> Response:
    """Refuse what `ollama signin` and `ollama signout` ask: there are no accounts."""
    raise NotFound(
        "accounts are not supported: this server works without ollama.com, and needs no sign-in"
    )


@router.get("/api/status")
async def status() -> Response:
    """Return that no remote service is used."""
    return json_response({"cloud": {"disabled": True, "source": "env"}})
