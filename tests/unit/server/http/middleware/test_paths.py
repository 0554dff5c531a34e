"""Paths that are not normalised redirect to the normalised path of this server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.middleware.paths import (
    PathMiddleware,
    normalised_path,
    send_redirect,
    slash_redirect,
)
from tests.support.asgi import Client, ask, http_scope, say_ok

ODD = [
    ("//api/tags", "/api/tags"),
    ("/api//tags", "/api/tags"),
    ("/api/../api/tags", "/api/tags"),
    ("/api/./tags", "/api/tags"),
    ("/../../etc/passwd", "/etc/passwd"),
    ("/api/tags//", "/api/tags/"),
    ("/api/..", "/"),
    ("//", "/"),
    ("///evil.com", "/evil.com"),
    ("//evil.com/..//evil.com", "/evil.com"),
    ("", "/"),
]
PLAIN = [
    "/", "/api/tags", "/api/tags/", "/API/TAGS", "/api/%2e%2e/tags", "/api%2Ftags", "/a.b/..c/c..",
    "/\\evil.com", "/api/blobs/sha256:00",
]  # fmt: skip


@pytest.mark.parametrize(("path", "plain"), ODD)
def test_empty_and_dotted_elements_are_removed(path: str, plain: str) -> None:
    assert normalised_path(path) == plain


@pytest.mark.parametrize("path", PLAIN)
def test_a_normalised_path_is_unchanged_and_escapes_are_not_decoded(path: str) -> None:
    assert normalised_path(path) == path


@given(st.lists(st.sampled_from(["", "/", ".", "..", "a", "%2e", "\\"])).map("/".join))
def test_a_normalised_path_never_names_another_server(path: str) -> None:
    plain = normalised_path(path)

    assert plain.startswith("/")
    assert not plain.startswith("//")
    assert normalised_path(plain) == plain


@pytest.mark.anyio
@pytest.mark.parametrize("path", PLAIN)
async def test_a_normalised_path_is_served(path: str) -> None:
    assert (await ask(PathMiddleware(say_ok), path)).body == b"ok"


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "plain"), ODD)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_is_redirected_to_the_normalised_path(
    path: str, plain: str, method: str
) -> None:
    """With 307, so that the method and the body go there too."""
    reply = await ask(PathMiddleware(say_ok), path, method=method)

    assert (reply.status, reply.get("location")) == (307, plain)
    assert reply.get("content-length") == str(len(reply.body))


@pytest.mark.anyio
async def test_the_query_is_part_of_the_redirect() -> None:
    reply = await ask(PathMiddleware(say_ok), "//api/tags", query="a=1&b=%20")

    assert reply.get("location") == "/api/tags?a=1&b=%20"


@pytest.mark.anyio
async def test_the_page_of_a_redirect_cannot_carry_html() -> None:
    client = Client()
    scope = http_scope(query='"><script>')

    await send_redirect(scope, client.send, "/<b>", 307)

    assert client.reply.body == (
        b'<a href="/&lt;b&gt;?&quot;&gt;&lt;script&gt;">Temporary Redirect</a>.\n\n'
    )


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 307), ("DELETE", 307)])
def test_a_redirect_of_a_trailing_slash_is_permanent_for_get_only(method: str, status: int) -> None:
    assert slash_redirect(http_scope(method=method)) == status
