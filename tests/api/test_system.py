"""`/`, the version, and what is said of paths and methods that do not exist."""

import pytest

from server.versions import PADDOCK
from tests.support.application import Server

pytestmark = pytest.mark.anyio


async def test_the_root_says_the_words_that_clients_wait_for(shared: Server) -> None:
    answer = await shared.http.get("/")

    assert (answer.status_code, answer.text) == (200, "Ollama is running")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_the_version_is_the_one_that_is_matched_with_paddocks_own_beside_it(
    shared: Server,
) -> None:
    answer = await shared.http.get("/api/version")

    assert answer.json() == {"version": "0.32.15", "paddock": PADDOCK}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_no_remote_service_is_used(shared: Server) -> None:
    answer = await shared.http.get("/api/status")

    assert answer.json() == {"cloud": {"disabled": True, "source": "env"}}


@pytest.mark.parametrize("path", ["/api/me", "/api/signout"])
async def test_signing_in_is_answered_with_a_sentence(shared: Server, path: str) -> None:
    """`ollama signin` prints it; "404 page not found" sent people looking for a network problem."""
    answer = await shared.http.post(path, headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert "accounts are not supported" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
async def test_head_tells_what_get_would_without_a_body(shared: Server, path: str) -> None:
    get, head = await shared.http.get(path), await shared.http.head(path)

    assert (head.status_code, head.content) == (200, b"")
    del get.headers["x-request-id"], head.headers["x-request-id"]
    assert head.headers == get.headers
    assert int(head.headers["content-length"]) == len(get.content)


@pytest.mark.parametrize("path", ["/nothing", "/api", "/API/TAGS", "/api/blobs", "/api/tags/more"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_an_unknown_path_is_told_in_plain_text(
    shared: Server, method: str, path: str
) -> None:
    answer = await shared.http.request(method, path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain"
    assert answer.text == ("" if method == "HEAD" else "404 page not found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "HEAD, GET"),
        ("POST", "/api/tags", "HEAD, GET"),
        ("DELETE", "/api/version", "HEAD, GET"),
        ("POST", "/api/ps", "GET"),
        ("GET", "/api/generate", "POST"),
        ("GET", "/api/chat", "POST"),
        ("PUT", "/api/embed", "POST"),
        ("GET", "/api/embeddings", "POST"),
        ("GET", "/api/show", "POST"),
        ("GET", "/api/create", "POST"),
        ("GET", "/api/copy", "POST"),
        ("POST", "/api/delete", "DELETE"),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_told_with_those_it_has(
    shared: Server, method: str, path: str, allowed: str
) -> None:
    answer = await shared.http.request(method, path)

    assert (answer.status_code, answer.text) == (405, "405 method not allowed")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["allow"] == allowed


async def test_head_is_not_a_method_of_every_path(shared: Server) -> None:
    answer = await shared.http.head("/api/ps")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("POST", "/api/show/", 307, "/api/show"),
        ("DELETE", "/api/delete/", 307, "/api/delete"),
        ("GET", "//api/tags", 307, "/api/tags"),
        ("POST", "//api//show", 307, "/api/show"),
    ],
)
async def test_a_path_that_is_not_written_plainly_is_redirected(
    shared: Server, method: str, path: str, status: int, location: str
) -> None:
    answer = await shared.http.request(method, f"http://127.0.0.1:11434{path}")

    assert (answer.status_code, answer.headers["location"]) == (status, location)


@pytest.mark.parametrize("path", ["/api/tags", "/nothing"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}], ids=["page", "name"]
)
async def test_strangers_are_turned_away_before_anything_is_looked_up(
    shared: Server, path: str, headers: dict[str, str]
) -> None:
    answer = await shared.http.get(path, headers=headers)

    assert (answer.status_code, answer.content) == (403, b"")


async def test_a_page_of_this_machine_may_read_what_it_gets_errors_too(shared: Server) -> None:
    answer = await shared.http.get("/nothing", headers={"Origin": "http://localhost:3000"})

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/api/chat", "/nothing"])
async def test_a_browser_may_ask_beforehand_for_any_path(shared: Server, path: str) -> None:
    answer = await shared.http.options(path, headers={"Origin": "http://localhost:3000"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
