"""Routes get the request and parts of the path, and no route goes the long way round."""

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse, Response

from server.app import create_app
from server.config.settings import Settings
from server.http.direct_route import DirectRoute

pytestmark = pytest.mark.anyio


async def test_an_endpoint_gets_the_request_and_the_parts_of_its_path() -> None:
    router = APIRouter(prefix="/things", route_class=DirectRoute)

    @router.get("/{name:path}/parts/{part}")
    async def part(part: str, request: Request, name: str) -> Response:
        return PlainTextResponse(f"{name} {part} {request.url.query}")

    @router.get("/all")
    async def everything() -> Response:
        return PlainTextResponse("all")

    @router.post("/all")
    async def add(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    app = FastAPI()
    app.router.routes += router.routes
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/things/a%20b/c/parts/d?e")).text == "a b/c d e"
        assert (await client.get("/things/all")).text == "all"
        assert (await client.post("/things/all", content=b"\x00f")).content == b"\x00f"
        assert (await client.get("/things/a")).status_code == 404
        assert (await client.put("/things/all")).status_code == 405


def test_an_endpoint_that_needs_more_is_refused_at_once() -> None:
    router = APIRouter(route_class=DirectRoute)

    async def number(count: int) -> Response:
        return PlainTextResponse(str(count))

    with pytest.raises(TypeError, match="takes more than a request and texts"):
        router.get("/{count}")(number)


def test_every_route_of_the_server_is_direct() -> None:
    """FastAPI's own handler takes longer than all of this server's middleware."""
    app = create_app(Settings(models=Path("unused"), share=True))

    assert {type(route) for route in app.routes if isinstance(route, APIRoute)} == {DirectRoute}
