"""GET /api/tags: what is installed."""

import hashlib
import os

import pytest

from tests.api.conftest import EMBEDDER, TEXT_MODEL
from tests.support.application import DETAILS, Server

pytestmark = pytest.mark.anyio


async def test_an_empty_store_is_an_empty_list(server: Server) -> None:
    await server.http.request("DELETE", "/api/delete", json={"model": "base"})

    answer = await server.http.get("/api/tags")

    assert answer.json() == {"models": []}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_an_entry_tells_all_that_clients_show(server: Server) -> None:
    [listed] = (await server.http.get("/api/tags")).json()["models"]

    manifest = server.manifest("base")
    blobs = sum(blob.stat().st_size for blob in (server.store / "blobs").iterdir())
    modified_at = listed.pop("modified_at")
    assert modified_at[:4].isdigit()
    assert listed == {
        "name": "base:latest",
        "model": "base:latest",
        "size": blobs,
        "digest": hashlib.sha256(manifest.read_bytes()).hexdigest(),
        "details": {**DETAILS, "context_length": 4096, "embedding_length": 8},
        "capabilities": ["completion"],
    }


async def test_models_that_embed_or_think_or_fill_gaps_are_told_apart(shared: Server) -> None:
    listed = (await shared.http.get("/api/tags")).json()["models"]

    assert {model["name"]: model["capabilities"] for model in listed} == {
        "base:latest": ["completion"],
        "embedder:latest": ["embedding"],
        "filler:latest": ["completion", "insert"],
        "teller:latest": ["completion"],
        "thinker:latest": ["completion", "thinking"],
    }


async def test_the_newest_model_comes_first_and_names_decide_between_equals(
    server: Server,
) -> None:
    for name, second in (("b", 200), ("a", 200), ("c", 300), ("base", 100)):
        await server.create(name, TEXT_MODEL)
        os.utime(server.manifest(name), (second, second))

    assert await server.installed() == ["c:latest", "a:latest", "b:latest", "base:latest"]


async def test_names_are_told_as_short_as_they_can_be(server: Server) -> None:
    names = ["ns/m:q4", "registry.ollama.ai/library/plain", "hf.co/user/Repo:Q4_K_M"]
    for name in names:
        await server.create(name, "base")

    assert {*await server.installed()} == {
        "base:latest",
        "ns/m:q4",
        "plain:latest",
        "hf.co/user/Repo:Q4_K_M",
    }


async def test_a_damaged_model_hides_no_other(server: Server) -> None:
    await server.create("damaged", EMBEDDER)
    server.manifest("damaged").write_text("{")

    assert await server.installed() == ["base:latest"]


async def test_a_model_whose_file_was_cut_off_hides_no_other(server: Server) -> None:
    await server.install("damaged", TEXT_MODEL[:100])

    assert await server.installed() == ["base:latest"]
