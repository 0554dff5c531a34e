"""`/`, `/api/version`, `/api/status`, and the endpoints of accounts, which there are not."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from server.errors import NotFound
from server.http.streaming import json_response
from server.schemas.base import ApiModel
from server.versions import PADDOCK, REFERENCE

router = APIRouter()
BODIES: tuple[type[ApiModel], ...] = ()


@router.get("/")
@router.head("/", include_in_schema=False)
async def root() -> Response:
    """Say that the server is up, in the words that clients wait for."""
    return PlainTextResponse("Ollama is running")


@router.get("/api/version")
@router.head("/api/version", include_in_schema=False)
async def api_version() -> Response:
    """Tell the matched version and paddock's own."""
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
    """Tell that no remote service is used."""
    return json_response({"cloud": {"disabled": True, "source": "env"}})
