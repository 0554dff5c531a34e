"""A store that cannot be read now is no empty store, and its models are not gone."""

import json
import os

import pytest

from tests.api.conftest import TEXT_MODEL
from tests.support.application import Server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
async def test_a_store_that_has_vanished_is_not_listed_as_empty(server: Server, path: str) -> None:
    server.store.rename(server.store.with_name("away"))

    answer = await server.http.get(path)

    assert answer.status_code == 503
    assert "the models directory cannot be read: it is not there" in answer.text
    assert str(server.store) not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/show", {"model": "base"}),
        ("POST", "/api/generate", {"model": "base", "prompt": "a"}),
        ("POST", "/api/chat", {"model": "base"}),
        ("POST", "/api/copy", {"source": "base", "destination": "b"}),
        ("DELETE", "/api/delete", {"model": "base"}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": "base", "messages": [{"role": "user", "content": "a"}]},
        ),
        ("POST", f"/api/blobs/sha256:{'0' * 64}", {}),
    ],
)
async def test_a_model_of_a_store_that_has_vanished_is_not_told_to_be_absent(
    server: Server, method: str, path: str, body: dict[str, object]
) -> None:
    server.store.rename(server.store.with_name("away"))

    answer = await server.http.request(method, path, json=body)

    assert answer.status_code == 503
    assert not server.store.exists(), "what is written now would hide the models"


async def test_one_model_with_text_that_cannot_be_sent_hides_no_other(server: Server) -> None:
    path = server.manifest("base").parent.parent / "bad" / "latest"
    path.parent.mkdir()
    fields = json.loads(server.manifest("base").read_bytes())
    fields["layers"][0]["from"] = "@"
    path.write_text(json.dumps(fields).replace('"@"', r'"\ud800"'))

    shown = await server.post("/api/show", model="bad")

    assert await server.installed() == ["base:latest"]
    assert (await server.http.get("/v1/models")).status_code == 200
    assert shown.status_code == 500
    assert "the manifest of model 'bad:latest' is damaged" in shown.json()["error"]


async def test_an_upload_replaces_a_blob_that_the_disk_has_damaged(server: Server) -> None:
    weights = server.blob(TEXT_MODEL)
    facts = weights.stat()
    weights.write_bytes(TEXT_MODEL[:-1] + b"\xff")
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    digest = f"sha256:{weights.name.removeprefix('sha256-')}"

    answer = await server.http.post(f"/api/blobs/{digest}", content=TEXT_MODEL)

    assert answer.status_code == 201
    assert weights.read_bytes() == TEXT_MODEL


async def test_a_model_cannot_be_made_of_a_damaged_file_until_it_is_uploaded_again(
    server: Server,
) -> None:
    """`ollama create` asks for each file, uploads what is not there, then creates."""
    weights = server.blob(TEXT_MODEL)
    weights.write_bytes(TEXT_MODEL[:-1] + b"\xff")
    digest = f"sha256:{weights.name.removeprefix('sha256-')}"

    refused = await server.post("/api/create", model="x", files={"m.gguf": digest}, stream=False)
    asked = await server.http.head(f"/api/blobs/{digest}")
    await server.create("x", TEXT_MODEL)

    assert refused.status_code == 400
    assert refused.json() == {"error": f'blob "{digest}" is damaged on the disk; upload it again'}
    assert asked.status_code == 404
    assert weights.read_bytes() == TEXT_MODEL
