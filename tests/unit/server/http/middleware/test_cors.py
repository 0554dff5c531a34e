"""CORS: pages of origins that are not allowed get 403, others their headers."""

import pytest

from server.http.middleware.cors import CORSMiddleware
from server.http.origins import OriginPolicy
from tests.support.asgi import Reply, ask, say_ok

pytestmark = pytest.mark.anyio

CONFIGURED = ("https://Chat.Example.com", "https://*.example.org", "chrome-extension://*")
METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
STAINLESS = (
    "Arch Async Custom-Poll-Interval Helper-Method Lang Os Package-Version Poll-Helper "
    "Retry-Count Runtime Runtime-Version Timeout"
)


async def answer(
    *configured: str, origin: str | None, host: str = "localhost:11434", method: str = "GET",
    path: str = "/api/tags",
) -> Reply:  # fmt: skip
    origins = [("Origin", origin)] if origin is not None else []
    app = CORSMiddleware(say_ok, OriginPolicy(configured))
    return await ask(app, path, method=method, headers=[("Host", host), *origins])


def cors_headers(reply: Reply) -> list[str]:
    return [
        name for name, _ in reply.headers if name.startswith("access-control") or name == "vary"
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost", "https://localhost", "http://localhost:3000", "https://localhost:1",
        "http://127.0.0.1", "https://127.0.0.1:8443", "http://0.0.0.0", "http://0.0.0.0:80",
        "app://x", "file://", "file:///home/x.html", "tauri://localhost", "vscode-webview://abc",
        "vscode-file://vscode-app", "https://chat.example.com", "https://a.example.org",
        "https://a.b.example.org", "chrome-extension://abc",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_of_an_allowed_origin_can_read_the_reply(origin: str, method: str) -> None:
    reply = await answer(*CONFIGURED, origin=origin, method=method)

    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.get("access-control-allow-origin") == origin
    assert reply.get("vary") == "Origin"
    assert reply.get("content-type") == "text/plain"


FOREIGN = [
    "https://evil.com", "null", "", "http://localhost.evil.com", "http://evil.com:11434",
    "http://[::1]:3000", "chrome-extensions://abc", "https://example.org", "https://example.org.evil",
    "https://chat.example.com.evil", "http://chat.example.com", "https://chat.example.com:444",
    "http://localhost:80@evil.com", "http://localhost:80@evil.com:80", "http://localhost:80/evil.com",
    "http://localhost:", "http://localhost:8080x", "http://localhost:999999", "http://127.0.0.1:1#@e.com",
    "Http://Localhost", "http://127.0.0.2", "ftp://localhost", "moz-extension://abc", "*",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_a_foreign_page_is_refused_on_every_method(origin: str, method: str) -> None:
    """Also a simple POST, which a browser sends without asking first."""
    reply = await answer(*CONFIGURED, origin=origin, method=method)

    assert (reply.status, reply.body) == (403, b"")
    assert cors_headers(reply) == []


async def test_a_foreign_page_learns_nothing_of_which_paths_exist() -> None:
    assert (await answer(origin="https://evil.com", path="/nowhere")).status == 403


async def test_without_configuration_no_extension_is_allowed() -> None:
    assert (await answer(origin="chrome-extension://abc")).status == 403


async def test_a_client_without_an_origin_is_not_affected() -> None:
    reply = await answer(origin=None)

    assert reply.status == 200
    assert cors_headers(reply) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_the_servers_own_pages_are_not_affected(scheme: str, method: str) -> None:
    """Whatever its name is: the guard of hosts looks at that."""
    host = "box.lan:8080"
    reply = await answer(origin=f"{scheme}://{host}", host=host, method=method)

    assert (reply.status, reply.body) == (200, b"ok")
    assert cors_headers(reply) == []


@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://localhost"])
async def test_with_an_asterisk_every_page_may_use_the_api(origin: str) -> None:
    reply = await answer("https://a.com", "*", origin=origin)

    assert reply.status == 200
    assert reply.get("access-control-allow-origin") == "*"
    assert reply.get("vary") is None


async def test_a_preflight_is_answered_with_the_allowed_methods_and_headers() -> None:
    reply = await answer(origin="http://localhost:3000", method="OPTIONS", path="/nowhere")

    assert (reply.status, reply.body) == (204, b"")
    assert reply.get("access-control-allow-origin") == "http://localhost:3000"
    assert reply.get("access-control-allow-methods") == METHODS
    assert reply.get("access-control-max-age") == "43200"
    assert reply.get("content-length") is None
    assert reply.all("vary") == [
        "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers",
    ]  # fmt: skip


async def test_a_preflight_allows_the_headers_that_sdks_send() -> None:
    reply = await answer(origin="http://localhost", method="OPTIONS")
    allowed = (reply.get("access-control-allow-headers") or "").split(",")

    assert {"Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With"} < {
        *allowed
    }
    assert {f"X-Stainless-{name}" for name in STAINLESS.split()} < {*allowed}
    assert {"X-Stainless-Helper", "Openai-Organization", "Idempotency-Key"} < {*allowed}


@pytest.mark.parametrize(
    "header",
    [
        "x-api-key", "anthropic-version", "anthropic-beta", "x-stainless-helper",
        "anthropic-dangerous-direct-browser-access", "openai-project", "openai-organization",
    ],
)  # fmt: skip
async def test_a_page_may_use_the_libraries_of_openai_and_anthropic(header: str) -> None:
    """Browsers compare names of headers without regard to case."""
    reply = await answer(origin="http://localhost", method="OPTIONS")

    assert header in (reply.get("access-control-allow-headers") or "").lower().split(",")


async def test_a_preflight_with_all_origins_allowed_has_an_asterisk() -> None:
    reply = await answer("*", origin="https://evil.com", method="OPTIONS")

    assert (reply.status, reply.get("access-control-allow-origin")) == (204, "*")
    assert reply.get("access-control-allow-methods") == METHODS
    assert reply.get("vary") is None


async def test_credentials_are_never_allowed() -> None:
    for method in ("GET", "OPTIONS"):
        reply = await answer("*", origin="http://localhost", method=method)
        assert reply.get("access-control-allow-credentials") is None
