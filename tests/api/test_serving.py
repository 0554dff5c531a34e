"""Models served as the configuration says: aliases, defaults, limits, pins, groups, preload."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store.names import ModelName
from model_store.served import ServedAs
from model_store.serving import Serving
from server.config.settings import Settings
from server.reloading import Configured, Reloader
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, serving
from tests.support.asgi import until
from tests.support.calls import call
from tests.support.fake_machine import FakeMachine

pytestmark = pytest.mark.anyio

OTHER = TEXT_MODEL + b"\0" * 32


def name(text: str) -> ModelName:
    return ModelName.parse(text)


def served(server: Server, **models: ServedAs) -> None:
    """Serve the models so, and `base` as `gpt-4o` too."""
    aliases = {name("gpt-4o"): name("base")}
    of_models = {name(model): served_as for model, served_as in models.items()}
    server.app.state.services.store.serve_as(Serving(aliases, of_models))


async def test_an_alias_is_listed_in_every_api(server: Server) -> None:
    before = await server.installed()
    served(server)

    openai = (await server.http.get("/v1/models")).json()["data"]
    one = await server.http.get("/v1/models/gpt-4o")

    assert sorted(await server.installed()) == sorted([*before, "gpt-4o:latest"])
    assert "gpt-4o:latest" in [model["id"] for model in openai]
    assert one.json()["id"] == "gpt-4o"
    served_again = await server.installed()
    assert served_again == await server.installed()
    server.app.state.services.store.serve_as(Serving())
    assert await server.installed() == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate", {"prompt": "a b"}),
        ("/api/chat", {"messages": [{"role": "user", "content": "a b"}]}),
        ("/api/embed", {"input": "a"}),
        ("/api/tokenize", {"content": "a"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a b"}]}),
        ("/v1/completions", {"prompt": "a b"}),
        ("/v1/responses", {"input": "a b"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 9}),
        ("/api/show", {}),
    ],
)
async def test_an_alias_is_answered_by_its_model_under_its_own_name(
    server: Server, path: str, body: dict[str, Any]
) -> None:
    served(server)

    answer = await server.post(path, model="GPT-4o", stream=False, **body)

    assert answer.status_code == 200
    assert answer.json().get("model", "GPT-4o") == "GPT-4o"
    assert await server.loaded() in ([], ["base:latest"])


async def test_an_alias_can_be_copied_and_built_on_but_not_overwritten_or_deleted(
    server: Server,
) -> None:
    served(server)

    await server.create("brief", "gpt-4o", system="Be brief.")
    await server.post("/api/copy", source="gpt-4o", destination="copied")
    refused = [
        await server.http.request("DELETE", "/api/delete", json={"model": "gpt-4o"}),
        await server.post("/api/copy", source="brief", destination="gpt-4o"),
        await server.post("/api/pull", model="gpt-4o", stream=False),
        await server.post("/api/create", model="gpt-4o", stream=False, **{"from": "base"}),
    ]

    assert {"brief:latest", "copied:latest"} <= set(await server.installed())
    for answer in refused:
        assert answer.status_code == 400
        assert answer.json()["error"].startswith('"gpt-4o:latest" is an alias in the configuration')


async def test_options_of_the_operator_win_over_the_modelfile_and_requests_over_them(
    server: Server,
) -> None:
    await server.create("long", "base", parameters={"num_predict": 4})
    served(server, long=ServedAs(options={"num_predict": 2}))

    default = await server.post("/api/generate", model="long", prompt="forever", stream=False)
    own = await server.post(
        "/api/generate", model="long", prompt="forever", stream=False, options={"num_predict": 3}
    )

    assert default.json()["eval_count"] == 2
    assert own.json()["eval_count"] == 3


async def test_parallel_requests_and_context_of_a_model_are_limited(tmp_path: Path) -> None:
    machine = FakeMachine()
    async with serving(tmp_path, machine=machine) as server:
        await server.create("base", TEXT_MODEL)
        served(server, base=ServedAs(parallel=3, max_context=512))
        await server.post("/api/generate", model="base", options={"num_ctx": 2048})

    [runner] = machine.loads
    assert runner.spec is not None
    assert (runner.spec.n_seq, runner.spec.n_ctx) == (3, 512)


async def test_keep_alive_of_a_model_holds_for_requests_without_one(server: Server) -> None:
    served(server, base=ServedAs(keep_alive=0.0))

    await server.post("/api/generate", model="base")
    after_default = await server.loaded()
    await server.post("/api/generate", model="base", keep_alive=60)

    assert after_default == []
    assert await server.loaded() == ["base:latest"]


async def test_a_pinned_model_neither_expires_nor_makes_room(tmp_path: Path) -> None:
    async with serving(tmp_path, machine=FakeMachine(), max_loaded=1) as server:
        await server.create("base", TEXT_MODEL)
        await server.create("other", OTHER)
        served(server, base=ServedAs(is_pinned=True))
        await server.post("/api/generate", model="base", keep_alive=1)
        server.clock.advance(10**6)
        await server.post("/api/generate", model="base", keep_alive=0)

        refused = await server.post("/api/generate", model="other")

        assert refused.status_code == 503
        assert "no room for the model beside those" in refused.json()["error"]
        assert await server.loaded() == ["base:latest"]
        await server.post("/api/unload", model="base")
        assert await server.loaded() == []


async def test_models_of_a_group_are_not_in_memory_together(tmp_path: Path) -> None:
    async with serving(tmp_path, machine=FakeMachine()) as server:
        for model, content in (("base", TEXT_MODEL), ("other", OTHER), ("third", OTHER + b"\0")):
            await server.create(model, content)
        in_group = ServedAs(groups=frozenset({"0"}))
        served(server, base=in_group, other=in_group)

        for model in ("third", "base", "other"):
            await server.post("/api/generate", model=model, keep_alive=-1)

        assert await server.loaded() == ["third:latest", "other:latest"]


async def test_a_model_of_a_group_waits_for_the_answers_of_the_other(server: Server) -> None:
    await server.create("other", OTHER)
    in_group = ServedAs(groups=frozenset({"0"}))
    served(server, base=in_group, other=in_group)
    stream = call(server, "/api/generate", prompt="forever")
    await stream.begun()
    waiting = call(server, "/api/generate", model="other", prompt="a b", stream=False)
    await until(lambda: server.n_pending == 1)

    await stream.hang_up()
    await waiting

    assert waiting.sent[0]["status"] == 200
    assert await server.loaded() == ["other:latest"]


def reloader(server: Server, *read: Configured) -> Reloader:
    """A reloader that reads one configuration after the other."""
    configured = iter(read)
    services = server.app.state.services
    made = Reloader(services, server.app.state, next(configured), lambda: next(configured))
    server.app.state.reloader = made
    return made


async def test_what_can_change_is_reloaded_and_the_rest_is_named(server: Server) -> None:
    old = Settings(models=server.store)
    new = replace(old, keep_alive=0.0, stream_keepalive=1.0, max_connections=7)
    aliases = Serving({name("gpt-4o"): name("base")})
    reloader(server, Configured(old, Serving()), Configured(new, aliases))

    answer = await server.post("/api/reload")

    assert answer.json() == {
        "status": "success",
        "changed": ["keep_alive", "stream_keepalive"],
        "need_restart": ["max_connections"],
        "models_changed": True,
    }
    assert server.app.state.heartbeat_seconds == 1.0
    await server.post("/api/generate", model="gpt-4o")
    assert await server.loaded() == [], "the new keep_alive is 0"


async def test_models_to_preload_are_loaded_and_those_that_cannot_be_are_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(models=server.store)
    preloaded = ServedAs(is_preloaded=True, keep_alive=float("inf"))
    models = Serving({}, {name("none"): preloaded, name("base"): preloaded})
    server.app.state.services.store.serve_as(models)

    made = reloader(server, Configured(settings, models))
    made.preload()
    await until(lambda: made.is_idle)

    assert await server.loaded() == ["base:latest"]
    assert "none:latest is not preloaded: model 'none:latest' not found" in caplog.text
    made.close()


async def test_a_server_without_a_configuration_says_so(server: Server) -> None:
    answer = await server.post("/api/reload")

    assert answer.status_code == 404
    assert answer.json() == {"error": "this server has no configuration to reload"}
