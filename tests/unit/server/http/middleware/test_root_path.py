"""Root path: requests below it, with and without it, and redirects."""

import pytest
from starlette.types import Receive, Scope, Send

from server.http.middleware.root_path import RootPathMiddleware
from tests.support.asgi import ask

pytestmark = pytest.mark.anyio


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path, as a redirect to it."""
    location = scope["raw_path"]
    headers = [(b"location", location)]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    body = f"{scope['root_path']} {scope['path']}".encode()
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/llm/api/tags", "/api/tags"),  # the proxy leaves the path as it is
        ("/api/tags", "/api/tags"),  # the proxy removes it
        ("/llm", "/"),
        ("/llm/", "/"),
        ("/llmx", "/llmx"),
    ],
)
async def test_paths_are_those_below_the_root(path: str, inner: str) -> None:
    answer = await ask(RootPathMiddleware(echo, "/llm"), path)

    assert answer.body.decode() == f"/llm {inner}"
    assert answer.get("location") == f"/llm{inner}"
