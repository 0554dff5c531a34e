"""GET /api/ps: what is in memory, for how long."""

import hashlib
from pathlib import Path

import pytest

from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import DETAILS, Server, serving
from tests.support.fake_machine import FakeMachine
from tests.support.fake_runner import MEMORY

pytestmark = pytest.mark.anyio


async def test_nothing_is_loaded_until_it_is_used(server: Server) -> None:
    answer = await server.http.get("/api/ps")

    assert answer.json() == {"models": []}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_an_entry_tells_all_that_clients_show(server: Server) -> None:
    await server.create("small", "base", parameters={"num_ctx": 300})
    await server.post("/api/generate", model="SMALL", keep_alive="10m")

    [told] = (await server.http.get("/api/ps")).json()["models"]

    manifest = server.manifest("small").read_bytes()
    assert told == {
        "name": "small:latest",
        "model": "small:latest",
        "size": sum(use.weights + use.kv_cache + use.compute for use in MEMORY),
        "digest": hashlib.sha256(manifest).hexdigest(),
        "details": DETAILS,
        "expires_at": told["expires_at"],
        "size_vram": 0,
        "context_length": 300,
    }


@pytest.mark.parametrize(
    ("asked", "context"), [(None, 4096), (300, 300), (99_999, 4096), (4, 4), (0, 4096), (-1, 4096)]
)
async def test_the_context_told_is_the_one_a_request_gets(
    tmp_path: Path, asked: int | None, context: int
) -> None:
    async with serving(tmp_path, machine=FakeMachine()) as server:
        await server.create("base", TEXT_MODEL)
        await server.post("/api/generate", model="base", options={"num_ctx": asked})

        [told] = (await server.http.get("/api/ps")).json()["models"]

    assert told["context_length"] == context


async def test_tags_of_the_same_weights_share_what_is_loaded(server: Server) -> None:
    await server.create("brief", "base", system="Be brief.")
    await server.post("/api/generate", model="base")
    await server.post("/api/generate", model="brief")

    assert await server.loaded() == ["base:latest"]
    assert len(server.runners) == 1


async def test_what_stays_longest_comes_first(server: Server) -> None:
    await server.create("embedder", EMBEDDER)
    await server.post("/api/generate", model="base", keep_alive=60)
    await server.post("/api/embed", model="embedder", keep_alive=120)
    first = await server.loaded()

    await server.post("/api/generate", model="base", keep_alive=-1)

    assert first == ["embedder:latest", "base:latest"]
    assert await server.loaded() == ["base:latest", "embedder:latest"]


@pytest.mark.parametrize("keep_alive", ["5m", -1])
async def test_a_deleted_model_leaves_the_memory(server: Server, keep_alive: str | int) -> None:
    """Nobody can unload it by name any more."""
    await server.post("/api/generate", model="base", keep_alive=keep_alive)
    await server.http.request("DELETE", "/api/delete", json={"model": "BASE"})

    assert await server.loaded() == []


@pytest.mark.parametrize("way", ["create", "copy"])
async def test_a_replaced_model_leaves_the_memory(server: Server, way: str) -> None:
    await server.create("embedder", EMBEDDER)
    await server.post("/api/generate", model="base", keep_alive=-1)
    if way == "create":
        await server.create("base", EMBEDDER)
    else:
        await server.post("/api/copy", source="embedder", destination="BASE")

    assert await server.loaded() == []


async def test_a_model_that_another_program_replaced_is_listed_once_and_can_be_unloaded(
    server: Server,
) -> None:
    await server.create("embedder", EMBEDDER)
    await server.post("/api/generate", model="base", keep_alive=-1)
    server.manifest("base").write_bytes(server.manifest("embedder").read_bytes())
    await server.post("/api/embed", model="base", keep_alive=-1)

    told = (await server.http.get("/api/ps")).json()["models"]
    assert [model["details"]["family"] for model in told] == ["bert"]

    await server.post("/api/embed", model="base", keep_alive=0)
    assert await server.loaded() == []


async def test_a_model_made_anew_from_the_same_weights_stays_in_memory(server: Server) -> None:
    await server.post("/api/generate", model="base", keep_alive=-1)
    await server.create("base", "base", system="Be brief.")
    await server.post("/api/generate", model="base")

    [told] = (await server.http.get("/api/ps")).json()["models"]
    assert told["digest"] == hashlib.sha256(server.manifest("base").read_bytes()).hexdigest()
    assert len(server.runners) == 1
