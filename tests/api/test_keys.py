"""API keys over HTTP: every route with every kind of key, errors in each API's form, and reload."""

import asyncio
import base64
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from model_store.layout import Layout
from model_store.manifests import write_manifest
from model_store.names import ModelName
from server.access.key import KeyLimits, KeyRequest
from server.access.key_changes import create_key, revoke_key
from server.access.scopes import ROUTES
from server.caller import Scope
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.published import PublishedModel

pytestmark = pytest.mark.anyio

KEYS = ("none", "wrong", "expired", "revoked", *Scope)
OPEN_PAGES = {
    *("GET /docs", "GET /openapi.json"),
    *("GET /ui", "GET /ui/{path:path}"),
}
"""Routes that the description leaves out: the web framework's own, and the files of the page."""


class Guarded:
    """A server that needs keys, and a token of each kind."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server, self.http, self.file = server, server.http, file
        self.app = server.app
        self.tokens = {"none": "", "wrong": "pdk_wrong"}

    def make(self, name: str, *scopes: Scope, age: float = 0.0, **fields: Any) -> str:
        """Make a key that is `age` seconds old; return its token."""
        request = KeyRequest(name=name, scopes=scopes or tuple(Scope), **fields)
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
        server.app.state.access.keys.ticks = ticks
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


@pytest.fixture
async def limited(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Guarded]:
    """A server with time that stands still, for keys with limits."""
    file = tmp_path / "keys.json"
    async with serving(tmp_path, api_keys=file) as server:
        await server.create("base", TEXT_MODEL)
        server.app.state.access.keys.ticks = _Ticks()
        yield Guarded(server, file)


async def test_a_thousand_requests_get_what_two_keys_allow_and_none_is_lost(
    limited: Guarded,
) -> None:
    limited.make("a", limits=KeyLimits(requests_per_minute=300))
    limited.make("b", limits=KeyLimits(requests_per_minute=40))

    async def ask(key: str) -> int:
        body = {"model": "missing", "content": "x"}
        path = "/api/tokenize"
        answer = await limited.http.post(path, json=body, headers=limited.headers(key))
        return answer.status_code

    statuses = await asyncio.gather(*(ask("ab"[i % 2]) for i in range(1000)))

    assert Counter(statuses[::2]) == {404: 300, 429: 200}
    assert Counter(statuses[1::2]) == {404: 40, 429: 460}


async def test_a_used_up_limit_is_told_to_openais_clients(limited: Guarded) -> None:
    limited.make("a", limits=KeyLimits(requests_per_minute=1))
    headers = limited.headers("a")
    body = {"model": "base", "messages": [{"role": "user", "content": "x"}]}
    first = await limited.http.post("/v1/chat/completions", json=body, headers=headers)
    second = await limited.http.post("/v1/chat/completions", json=body, headers=headers)
    lists = await limited.http.get("/api/tags", headers=headers)

    assert first.status_code == 200
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.status_code == 429
    assert second.headers["retry-after"] == "60"
    assert second.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert lists.status_code == 200


async def test_the_tokens_of_an_answer_are_charged_whether_it_is_streamed_or_not(
    limited: Guarded,
) -> None:
    limited.make("a", limits=KeyLimits(tokens_per_minute=1000))
    left = []
    for stream in (True, False, False):
        body = {"model": "base", "prompt": "one two three", "stream": stream}
        answer = await limited.http.post("/api/generate", json=body, headers=limited.headers("a"))
        left.append(int(answer.headers["x-ratelimit-remaining-tokens"]))
    last = answer.json()
    used = last["prompt_eval_count"] + last["eval_count"]

    assert left == [1000, 1000 - used, 1000 - 2 * used]


async def test_a_priority_that_is_none_is_refused(guarded: Guarded) -> None:
    headers = guarded.headers("infer") | {"x-priority": "urgent"}
    answer = await guarded.http.post("/api/chat", headers=headers)

    assert answer.status_code == 400
    assert answer.json() == {"error": "the header X-Priority must be interactive or batch"}


@pytest.fixture(scope="module")
async def divided(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Guarded]:
    """A server with the models `base` and `other`; the key `some` is for `base` alone."""
    directory = tmp_path_factory.mktemp("divided")
    file = directory / "keys.json"
    async with serving(directory, api_keys=file) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("other", "base")
        made = Guarded(server, file)
        made.make("some", models=("base", "mine-*"))
        made.make("all")
        made.make("guest")
        made.make("none-of-them", models=("nothing-*",))
        server.app.state.access.keys.ticks = _Ticks()  # so long after the last request
        yield made


@pytest.mark.parametrize(
    ("path", "names"),
    [("/api/tags", "models"), ("/v1/models", "data"), ("/api/ps", "models")],
)
async def test_lists_show_the_models_that_a_key_is_for(
    divided: Guarded, path: str, names: str
) -> None:
    listed = {}
    for model in ("base", "other"):
        body = {"model": model, "prompt": "x"}
        await divided.http.post("/api/generate", json=body, headers=divided.headers("all"))
    for key in ("none-of-them", "some", "all"):
        answer = await divided.http.get(path, headers=divided.headers(key))
        listed[key] = {model.get("name") or model["id"] for model in answer.json()[names]}

    assert listed["none-of-them"] == set()
    assert listed["some"] == {"base:latest"}
    # Both names share a runner, which is listed as the first of them.
    assert path == "/api/ps" or listed["all"] > listed["some"]


async def test_metrics_show_the_models_that_a_key_is_for_and_no_other_keys(
    divided: Guarded,
) -> None:
    for model, key in (("base", "some"), ("base", "all"), ("other", "all")):
        body = {"model": model, "prompt": "x"}
        await divided.http.post("/api/generate", json=body, headers=divided.headers(key))
    labels = {}
    for key in ("none-of-them", "some", "all"):
        text = (await divided.http.get("/metrics", headers=divided.headers(key))).text
        labels[key] = set(re.findall(r'\b(model|key)="([^"]+)"', text))

    assert labels["none-of-them"] <= {("key", "none-of-them")}
    assert labels["some"] - {("key", "some")} == {("model", "base:latest")}
    assert labels["all"] >= {("model", "base:latest"), ("key", "some"), ("key", "all")}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/generate", {"prompt": "x"}, 404),
        ("POST", "/api/chat", {"messages": [{"role": "user", "content": "x"}]}, 404),
        ("POST", "/api/embed", {"input": "x"}, 404),
        ("POST", "/api/tokenize", {"content": "x"}, 404),
        ("POST", "/api/show", {}, 404),
        ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, 404),
        ("POST", "/v1/completions", {"prompt": "x"}, 404),
        ("POST", "/v1/responses", {"input": "x"}, 404),
        (
            "POST",
            "/v1/messages",
            {"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]},
            404,
        ),
        ("GET", "/v1/models/other", None, 404),
        ("POST", "/api/copy", {"source": "other", "destination": "mine-2"}, 403),
        ("POST", "/api/copy", {"source": "base", "destination": "theirs"}, 403),
        ("POST", "/api/pull", {}, 403),
        ("POST", "/api/push", {}, 403),
        ("DELETE", "/api/delete", {}, 403),
        ("POST", "/api/create", {"from": "base"}, 403),
        ("POST", "/api/create", {"model": "mine-3", "from": "other"}, 404),
        ("POST", "/api/unload", {}, 404),
    ],
)
async def test_a_key_for_some_models_cannot_use_or_change_others(
    divided: Guarded, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    """To its holder another model is not installed."""
    if body is not None:
        body = {"model": "other", "stream": False} | body
    answer = await divided.http.request(
        method, path, json=body, headers=divided.headers("some"), timeout=5
    )

    assert answer.status_code == status, answer.text


async def test_a_key_for_some_models_can_use_them(divided: Guarded) -> None:
    headers = divided.headers("some")
    body = {"model": "base", "prompt": "x", "stream": False}
    copy = {"source": "base", "destination": "mine-1"}

    assert (await divided.http.post("/api/generate", json=body, headers=headers)).is_success
    assert (await divided.http.post("/api/copy", json=copy, headers=headers)).is_success


async def test_stored_responses_belong_to_the_key_that_made_them(divided: Guarded) -> None:
    async def ask(key: str, method: str, path: str, **body: Any) -> int:
        answer = await divided.http.request(
            method, path, json=body or None, headers=divided.headers(key)
        )
        return answer.status_code

    body = {"model": "base", "input": "hello"}
    made = await divided.http.post("/v1/responses", json=body, headers=divided.headers("all"))
    id = made.json()["id"]
    path = f"/v1/responses/{id}"
    later = {**body, "previous_response_id": id}
    strangers = [
        await ask("guest", "GET", path),
        await ask("guest", "GET", f"{path}/input_items"),
        await ask("guest", "POST", f"{path}/cancel"),
        await ask("guest", "DELETE", path),
        await ask("guest", "POST", "/v1/responses", **later),
    ]
    own = [
        await ask("all", "GET", path),
        await ask("all", "POST", "/v1/responses", **later),
        await ask("all", "DELETE", path),
    ]

    assert strangers == [404, 404, 404, 404, 400]
    assert own == [200, 200, 200]


async def test_conversations_belong_to_the_key_that_made_them(divided: Guarded) -> None:
    headers = divided.headers("all")
    made = await divided.http.post("/v1/conversations", json={}, headers=headers)
    path = f"/v1/conversations/{made.json()['id']}"
    statuses = {}
    for key in ("guest", "all"):
        headers = divided.headers(key)
        statuses[key] = [
            (await divided.http.get(path, headers=headers)).status_code,
            (await divided.http.get(f"{path}/items", headers=headers)).status_code,
            (await divided.http.post(path, json={"metadata": {}}, headers=headers)).status_code,
            (await divided.http.delete(path, headers=headers)).status_code,
        ]

    assert statuses == {"guest": [404] * 4, "all": [200] * 4}
