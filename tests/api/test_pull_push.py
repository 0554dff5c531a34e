"""POST /api/pull and /api/push: what a client is told, line by line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_store.registry.config import Endpoint
from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server, lines_of, serving
from tests.support.published import PublishedModel, digest_of
from tests.support.registry import FakeRegistry, listening

pytestmark = pytest.mark.anyio

MODEL = PublishedModel((("model", TEXT_MODEL), ("license", b"MIT")))
OLD = PublishedModel((("model", TEXT_MODEL), ("license", b"an older one")))
REGISTRY = FakeRegistry()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A registry with `library/teller`, for all tests of this file."""
    REGISTRY.publish("library/teller", "latest", MODEL)
    REGISTRY.publish("library/teller", "old", OLD)
    with listening(REGISTRY) as found:
        yield found


def _layer(verb: str, content: bytes) -> dict[str, Any]:
    digest = digest_of(content)
    return {
        "status": f"{verb} {digest[7:19]}",
        "digest": digest,
        "total": len(content),
        "completed": len(content),
    }


async def test_a_pull_tells_its_steps_and_the_model_is_there(server: Server, host: str) -> None:
    answer = await server.post("/api/pull", model=f"{host}/library/teller", insecure=True)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = lines_of(answer)
    assert lines[0] == {"status": "pulling manifest"}
    for content in MODEL.blobs.values():
        assert _layer("pulling", content) in lines
    assert lines[-3:] == [
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]
    assert f"{host}/library/teller:latest" in await server.installed()
    shown = (await server.post("/api/show", model=f"{host}/library/teller")).json()
    assert shown["license"] == "MIT"


async def test_what_is_there_is_told_with_one_line_for_each_layer(
    server: Server, host: str
) -> None:
    await server.post("/api/pull", model=f"{host}/library/teller", insecure=True)

    answer = await server.post("/api/pull", name=f"{host}/library/teller", insecure=True)

    assert lines_of(answer) == [
        {"status": "pulling manifest"},
        *(_layer("pulling", content) for content in MODEL.blobs.values()),
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]


async def test_an_answer_in_one_piece_is_the_last_step(server: Server, host: str) -> None:
    answer = await server.post(
        "/api/pull", model=f"{host}/library/teller", insecure=True, stream=False
    )

    assert answer.headers["content-type"] == "application/json"
    assert answer.text == '{"status":"success"}'


async def test_layers_that_only_the_replaced_model_needed_are_removed(
    server: Server, host: str
) -> None:
    await server.post("/api/pull", model=f"{host}/library/teller:old", insecure=True)
    manifest = server.store.joinpath("manifests", host, "library", "teller", "old")
    manifest.rename(manifest.with_name("latest"))

    answer = await server.post("/api/pull", model=f"{host}/library/teller", insecure=True)

    assert {"status": "removing unused layers"} in lines_of(answer)
    assert not server.blob(b"an older one").exists()
    assert server.blob(TEXT_MODEL).exists()


async def test_a_dry_run_tells_the_numbers_and_loads_nothing(server: Server, host: str) -> None:
    new = PublishedModel((("model", TEXT_MODEL), ("license", b"x" * 1000)))
    REGISTRY.publish("library/large", "latest", new)

    answer = await server.post(
        "/api/pull", model=f"{host}/library/large", insecure=True, dry_run=True, stream=False
    )

    told = answer.json()
    total = sum(map(len, new.blobs.values()))
    assert (told["status"], told["total"]) == ("success", total)
    # The model `base` of this server has the same weights.
    assert told["completed"] >= len(TEXT_MODEL)
    assert told["missing"] == total - told["completed"]
    assert told["fits"] is True
    assert not server.blob(b"x" * 1000).exists()
    assert f"{host}/library/large:latest" not in await server.installed()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_the_registry_does_not_have(
    server: Server, host: str, stream: bool
) -> None:
    answer = await server.post(
        "/api/pull", model=f"{host}/library/none", insecure=True, stream=stream
    )

    error = {"error": "pull model manifest: file does not exist"}
    if stream:
        assert answer.status_code == 200
        assert lines_of(answer) == [{"status": "pulling manifest"}, error]
    else:
        assert (answer.status_code, answer.json()) == (404, error)


async def test_a_registry_without_encryption_has_to_be_asked_for(server: Server, host: str) -> None:
    answer = await server.post("/api/pull", model=f"http://{host}/library/teller", stream=False)

    assert answer.status_code == 500
    assert "does not speak HTTPS" in answer.json()["error"]


async def test_a_registry_that_is_not_there(server: Server) -> None:
    answer = await server.post(
        "/api/pull", model="127.0.0.1:1/library/x", insecure=True, stream=False
    )

    assert answer.json() == {
        "error": "pull model manifest: cannot reach 127.0.0.1: the connection was refused"
    }


@pytest.mark.parametrize("name", ["", "  ", "a/b/c/d/e", "../../etc/passwd", "x:y:z", "h//m"])
async def test_a_name_that_is_none_is_refused_at_once(shared: Server, name: str) -> None:
    answer = await shared.post("/api/pull", model=name)

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid model name"})


async def test_a_push_tells_its_steps(server: Server, host: str) -> None:
    name = f"{host}/me/mine"
    await server.create(name, "base", license="MIT")

    answer = await server.post("/api/push", model=name, insecure=True)

    lines = lines_of(answer)
    assert lines[0] == {"status": "retrieving manifest"}
    assert _layer("pushing", TEXT_MODEL) in lines
    assert lines[-2:] == [{"status": "pushing manifest"}, {"status": "success"}]
    sent = REGISTRY.manifests["me/mine", "latest"]
    assert not sent.endswith(b"\n")
    assert json.loads(sent)["layers"][0]["digest"] == digest_of(TEXT_MODEL)


async def test_a_second_server_pulls_what_the_first_one_pushed(
    server: Server, host: str, tmp_path: Path
) -> None:
    name = f"{host}/me/shared"
    await server.create(name, "base", system="Be brief.")
    await server.post("/api/push", model=name, insecure=True)

    async with serving(tmp_path / "second") as second:
        await second.post("/api/pull", model=name, insecure=True)
        here = await server.post("/api/show", model=name)
        there = await second.post("/api/show", model=name)
        told = (await second.post("/api/generate", model=name, prompt="hi", stream=False)).json()

    assert here.json()["system"] == there.json()["system"] == "Be brief."
    assert told["done"] is True


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_is_not_here_cannot_be_pushed(shared: Server, stream: bool) -> None:
    answer = await shared.post("/api/push", model="me/none", stream=stream)

    error = {"error": "model 'me/none:latest' not found"}
    if stream:
        assert lines_of(answer) == [
            {"status": "retrieving manifest"},
            {"status": "couldn't retrieve manifest"},
            error,
        ]
    else:
        assert (answer.status_code, answer.json()) == (404, error)


async def test_a_push_without_a_usable_name_is_refused(shared: Server) -> None:
    empty = await shared.post("/api/push", model="")
    malformed = await shared.post("/api/push", model="a/b/c/d/e:f", stream=False)

    assert (empty.status_code, empty.json()) == (400, {"error": "model is required"})
    assert (malformed.status_code, malformed.json()) == (
        400,
        {"error": "unqualified name: a/b/c/d/e:f"},
    )


async def test_outside_paths_look_the_same_whether_they_exist_or_not(shared: Server) -> None:
    """A push must not tell which files are on the server."""
    answers = [
        (await shared.post("/api/push", model=name, stream=False)).text
        for name in ("../../../etc/passwd", "../../../etc/nothing")
    ]

    assert answers[0].replace("passwd", "nothing") == answers[1]


async def test_create_pulls_the_parent_that_is_not_here(server: Server, host: str) -> None:
    """`FROM` a model that nobody has pulled yet is what most Modelfiles begin with."""
    REGISTRY.publish("library/parent", "latest", MODEL)
    registry = Endpoint.parse(f"http://{host}")
    async with serving(server.store.parent / "other", registry=registry) as other:
        answer = await other.post("/api/create", model="mine", system="Sing.", **{"from": "parent"})

        steps = [line["status"] for line in lines_of(answer)]
        assert steps[0] == "pulling manifest"
        assert (steps.count("success"), steps[-1]) == (1, "success")
        assert {"mine:latest", "parent:latest"} == set(await other.installed())


async def test_a_parent_that_cannot_be_had_is_told(server: Server) -> None:
    answer = await server.post("/api/create", model="mine", stream=False, **{"from": "nowhere"})

    assert answer.status_code == 500
    assert answer.json()["error"].startswith("pull model manifest: ")
    assert "mine:latest" not in await server.installed()


async def test_a_pull_with_an_unusable_proxy_fails_and_the_log_says_why(
    tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ignoring the proxy could reach a registry that the operator's network forbids."""
    problem = 'HTTPS_PROXY is "socks5://proxy", but must be [http://]host[:port]'

    async with serving(tmp_path, unusable={"HTTPS_PROXY": problem}) as server:
        server.registry.prepare()
        answer = await server.post(
            "/api/pull", model=f"{host}/library/teller", insecure=True, stream=False
        )

    assert problem in caplog.text
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "no registry can be reached: the server's log says why the value of HTTPS_PROXY "
        "cannot be used"
    }
