"""API keys over HTTP: every route with every kind of key, errors in each API's form, and reload."""

import base64
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_store.layout import Layout
from model_store.manifests import write_manifest
from model_store.names import ModelName
from server.access.key import KeyRequest
from server.access.key_changes import create_key, revoke_key
from server.access.scopes import ROUTES
from server.caller import Scope
from tests.support.application import Server, serving
from tests.support.published import PublishedModel

pytestmark = pytest.mark.anyio

KEYS = ("none", "wrong", "expired", "revoked", *Scope)
OPEN_PAGES = {
    *("GET /docs", "GET /docs/oauth2-redirect", "GET /openapi.json"),
    *("GET /ui", "GET /ui/{path:path}"),
}
"""Routes that the description leaves out: the web framework's own, and the files of the page."""


class Guarded:
    """A server that needs keys, and a token of each kind."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server, self.http, self.file = server, server.http, file
        self.app = server.app
        self.tokens = {"none": "", "wrong": "pdk_wrong"}

    def make(
        self,
        name: str,
        *scopes: Scope,
        age: float = 0.0,
        seconds: float = 0.0,
        models: tuple[str, ...] = (),
    ) -> str:
        """Make a key that is `age` seconds old; return its token."""
        scopes = scopes or tuple(Scope)
        request = KeyRequest(name=name, scopes=scopes, seconds=seconds, models=models)
        self.tokens[name] = create_key(self.file, request, time.time() - age)[1]
        return self.tokens[name]

    def headers(self, name: str) -> dict[str, str]:
        """Return the headers that send the key called `name`."""
        return {"authorization": f"Bearer {self.tokens[name]}"} if self.tokens[name] else {}


@pytest.fixture(scope="module")
async def guarded(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    file = directory / "keys.json"
    async with serving(directory, api_keys=file, share=True) as server:
        made = Guarded(server, file)
        for scope in Scope:
            made.make(scope.value, scope)
        made.make("expired", age=100, seconds=50)
        made.make("revoked")
        revoke_key(file, "revoked", time.time())
        yield made


@pytest.mark.parametrize("route", sorted(set(ROUTES) - OPEN_PAGES))
async def test_a_route_is_open_to_keys_with_its_scope_alone(guarded: Guarded, route: str) -> None:
    """The status of every route with no key, a wrong, an expired and a revoked one, and each scope.

    Bodies are missing, so a request that is let through is refused with another status.
    """
    method, _, template = route.partition(" ")
    path = re.sub(r"{.*?}", "x", template)
    refused = {}
    for key in KEYS:
        answer = await guarded.http.request(method, path, headers=guarded.headers(key))
        refused[key] = answer.status_code if answer.status_code in (401, 403) else 0

    scope = ROUTES[route]
    expected = dict.fromkeys(KEYS, 401) | dict.fromkeys(Scope, 403)
    assert refused == (dict.fromkeys(KEYS, 0) if scope is None else {**expected, scope: 0})


def test_the_table_of_scopes_has_every_route_of_the_described_api(guarded: Guarded) -> None:
    """A new route without a scope fails here; so does a scope of a route that is gone."""
    paths = guarded.app.openapi()["paths"]
    described = {f"{method.upper()} {path}" for path, each in paths.items() for method in each}

    assert described == {route.replace(":path}", "}") for route in set(ROUTES) - OPEN_PAGES}


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
@pytest.mark.parametrize(("key", "status"), [("none", 401), ("manage", 403)])
async def test_head_needs_what_get_needs(
    guarded: Guarded, path: str, key: str, status: int
) -> None:
    answer = await guarded.http.head(path, headers=guarded.headers(key))

    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "//api/tags", "/api/tags/"])
async def test_a_path_without_a_route_needs_a_key_too(guarded: Guarded, path: str) -> None:
    """Otherwise a slip of the path would be a way around the keys."""
    without = await guarded.http.get(path)
    with_key = await guarded.http.get(path, headers=guarded.headers("read"))

    assert without.status_code == 401
    assert with_key.status_code in (301, 307, 404)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer {key}"}, 200),
        ({"authorization": "bearer   {key}"}, 200),
        ({"x-api-key": "{key}"}, 200),
        ({"x-api-key": "dummy", "authorization": "Bearer {key}"}, 200),
        ({"authorization": "{key}"}, 401),
        ({"authorization": "Basic {basic}"}, 200),
        ({"authorization": "Basic {key}"}, 401),
        ({"authorization": "Basic Og=="}, 401),
        ({"authorization": "Bearer {key}x"}, 401),
        ({"x-api-key": ""}, 401),
    ],
)
async def test_a_key_comes_as_bearer_token_as_x_api_key_or_as_password(
    guarded: Guarded, headers: dict[str, str], status: int
) -> None:
    key = guarded.tokens["read"]
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    filled = {name: text.format(key=key, basic=basic) for name, text in headers.items()}

    assert (await guarded.http.get("/api/version", headers=filled)).status_code == status


async def test_refusals_have_the_form_of_each_api(guarded: Guarded) -> None:
    headers = guarded.headers("read")
    native = (await guarded.http.post("/api/chat", headers=headers)).json()
    openai = (await guarded.http.post("/v1/chat/completions", headers=headers)).json()
    anthropic = (await guarded.http.post("/v1/messages", headers=headers)).json()
    text = 'the API key "read" lacks the scope "infer" for this'

    assert native == {"error": text}
    assert openai["error"] == {
        "message": text,
        "type": "invalid_request_error",
        "param": None,
        "code": "missing_scope",
    }
    assert anthropic["error"] == {"type": "permission_error", "message": text}


async def test_a_missing_key_is_told_with_how_to_send_one(guarded: Guarded) -> None:
    native = await guarded.http.get("/api/tags")
    openai = await guarded.http.get("/v1/models")
    anthropic = await guarded.http.post("/v1/messages")

    assert "Authorization: Bearer KEY" in native.json()["error"]
    assert native.headers["www-authenticate"] == "Bearer"
    assert openai.json()["error"]["code"] == "invalid_api_key"
    assert anthropic.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("wrong", "the API key is not valid for this server"),
        ("expired", 'the API key "expired" has expired'),
        ("revoked", 'the API key "revoked" was revoked'),
    ],
)
async def test_a_key_that_does_not_hold_is_told_why(guarded: Guarded, key: str, text: str) -> None:
    answer = await guarded.http.get("/api/tags", headers=guarded.headers(key))

    assert (answer.status_code, answer.json()) == (401, {"error": text})


async def test_a_web_page_may_ask_whether_it_can_send_a_key(guarded: Guarded) -> None:
    """A preflight has no key, and its page reads the refusal of the request itself."""
    page = {"origin": "http://localhost:3000"}
    asked = {**page, "access-control-request-method": "POST"}

    preflight = await guarded.http.options("/api/chat", headers=asked)
    refusal = await guarded.http.post("/api/chat", headers=page)

    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert (refusal.status_code, "access-control-allow-origin" in refusal.headers) == (401, True)


async def test_without_keys_any_key_that_a_client_sends_will_do(shared: Server) -> None:
    """Clients that insist on a key are given an invented one."""
    answer = await shared.http.get("/api/tags", headers={"authorization": "Bearer ollama"})

    assert answer.status_code == 200


async def test_keys_hold_and_end_without_a_restart(tmp_path: Path, anyio_backend: str) -> None:
    file = tmp_path / "keys.json"
    async with serving(tmp_path, api_keys=file) as server:
        guarded = Guarded(server, file)
        ticks = _Ticks()
        server.app.state.keys._ticks = ticks
        before = await guarded.http.get("/api/tags")
        guarded.make("first")
        ticks.now += 1.0
        locked = await guarded.http.get("/api/tags")
        known = await guarded.http.get("/api/tags", headers=guarded.headers("first"))
        guarded.make("second")
        made_just_now = await guarded.http.get("/api/tags", headers=guarded.headers("second"))
        revoke_key(file, "first", time.time())
        ticks.now += 1.0
        ended = await guarded.http.get("/api/tags", headers=guarded.headers("first"))
        file.unlink()
        ticks.now += 1.0
        deleted = await guarded.http.get("/api/tags", headers=guarded.headers("second"))

    answers = [before, locked, known, made_just_now, ended, deleted]
    assert [answer.status_code for answer in answers] == [200, 401, 200, 200, 401, 401]


class _Ticks:
    """A monotonic clock that stands still."""

    now = 1e6

    def __call__(self) -> float:
        return self.now


async def test_clients_of_registries_are_told_to_send_the_key_as_a_password(
    guarded: Guarded,
) -> None:
    answer = await guarded.http.get("/v2/")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="paddock"'
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


async def test_a_key_for_some_models_pulls_only_these(guarded: Guarded) -> None:
    for name in ("open", "closed"):
        model = PublishedModel((("model", name.encode()),))
        write_manifest(Layout(guarded.server.store), ModelName.parse(name), model.manifest)
    guarded.make("some", Scope.READ, models=("op*",))
    headers = guarded.headers("some")

    listed = await guarded.http.get("/v2/_catalog", headers=headers)
    other = await guarded.http.get("/v2/library/closed/manifests/latest", headers=headers)

    assert listed.json() == {"repositories": ["library/open"]}
    assert (other.status_code, other.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
