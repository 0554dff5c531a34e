"""A pull refuses what cannot be used, before its manifest is written, and keeps nothing of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import gguf_bytes
from tests.support.application import lines_of, serving
from tests.support.published import CONFIG, PublishedModel
from tests.support.registry import FakeRegistry, listening

pytestmark = pytest.mark.anyio

WEIGHTS = gguf_bytes.model("llama")
GOOD = PublishedModel((("model", WEIGHTS), ("template", b"{{ .Prompt }}"), ("license", b"MIT")))


def _with(*layers: tuple[str, bytes], config: bytes = CONFIG) -> PublishedModel:
    return PublishedModel((("model", WEIGHTS), *layers), config)


UNUSABLE: dict[str, tuple[PublishedModel, str]] = {
    "no layers": (PublishedModel(()), "the model has no weights"),
    "an adapter alone": (
        PublishedModel((("adapter", gguf_bytes.adapter()),)),
        "the model has no weights",
    ),
    "a template alone": (
        PublishedModel((("template", b"{{ .Prompt }}"),)),
        "the model has no weights",
    ),
    "a stub of a remote model": (
        PublishedModel((), b'{"remote_host": "https://ollama.com", "remote_model": "x"}'),
        "the model has no weights",
    ),
    "tensors": (PublishedModel((("tensor", b"x"),)), "this model requires MLX support"),
    "weights that are no GGUF file": (
        PublishedModel((("model", b"PK\3\4 not a model"),)),
        "the model cannot be used: ",
    ),
    "weights that are cut off": (
        PublishedModel((("model", WEIGHTS[:100]),)),
        "the model cannot be used: ",
    ),
    "weights without layers": (
        PublishedModel(
            (("model", gguf_bytes.gguf([gguf_bytes.key("general.architecture", 8, "llama")])),)
        ),
        'GGUF key "llama.block_count" is missing',
    ),
    "a damaged projector": (_with(("projector", b"x" * 50)), "the projector cannot be used: "),
    "a damaged adapter": (_with(("adapter", b"x" * 50)), "the adapter cannot be used: "),
    "parameters that are no JSON": (
        _with(("params", b"temperature 0")),
        "the params of the model is not a valid JSON object",
    ),
    "parameters that are a list": (
        _with(("params", b"[]")),
        "the params of the model is not a valid JSON object",
    ),
    "one bad layer of parameters among good ones": (
        _with(("params", b"null"), ("params", b"{}")),
        "the params of the model is not a valid JSON object",
    ),
    "messages that are no list": (
        _with(("messages", b"{}")),
        "the messages of the model is not a valid JSON list",
    ),
    "a lone surrogate in parameters": (
        _with(("params", b'{"stop": ["\\ud800"]}')),
        "the params of the model is not a valid JSON object",
    ),
    "a lone surrogate in messages": (
        _with(("messages", b'[{"role": "user", "content": "\\udfff"}]')),
        "the messages of the model is not a valid JSON list",
    ),
    "a lone surrogate in the config": (
        _with(config=b'{"model_family": "\\ud800"}'),
        "the config of the model is not a valid JSON object",
    ),
    "a config that is no JSON": (
        _with(config=b"{"),
        "the config of the model is not a valid JSON object",
    ),
    "a config nested too deeply": (
        _with(config=b'{"a":' * 100_000),
        "the config of the model is not a valid JSON object",
    ),
    "a large config": (
        _with(config=b'{"a": "' + b"x" * (16 << 20) + b'"}'),
        "the config of the model is larger than 1048576 bytes",
    ),
    "large parameters": (
        _with(("params", b" " * (1 << 20) + b"{}")),
        "the params of the model is larger than 1048576 bytes",
    ),
    "a template without an end": (
        _with(("template", b"{{ if .Prompt }}")),
        "the template of the model cannot be used: ",
    ),
    "an old template with an unknown function": (
        _with(("prompt", b"{{ exec .Prompt }}")),
        "the template of the model cannot be used: ",
    ),
    "too many layers": (
        _with(*(("license", b"%d" % n) for n in range(1000))),
        "the model has more than 1000 layers",
    ),
}


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def host(registry: FakeRegistry) -> Iterator[str]:
    with listening(registry) as host:
        yield host


@pytest.mark.parametrize(("model", "text"), UNUSABLE.values(), ids=UNUSABLE)
async def test_a_model_that_cannot_be_used_is_refused_with_the_reason(
    registry: FakeRegistry, host: str, tmp_path: Path, model: PublishedModel, text: str
) -> None:
    registry.publish("library/bad", "latest", model)
    name = f"{host}/library/bad"

    async with serving(tmp_path) as server:
        streamed = await server.post("/api/pull", model=name, insecure=True)
        whole = await server.post("/api/pull", model=name, insecure=True, stream=False)
        await _check_that_nothing_is_left(server)

    assert text in lines_of(streamed)[-1]["error"]
    assert 400 <= whole.status_code < 500
    assert text in whole.json()["error"]


async def _check_that_nothing_is_left(server: Any) -> None:
    assert await server.installed() == []
    assert [path.name for path in (server.store / "blobs").iterdir()] == []
    assert list((server.store / "manifests").iterdir()) == []


async def test_large_weights_are_not_downloaded_for_bad_texts(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    model = PublishedModel((("model", WEIGHTS + bytes(100_000)), ("params", b"?")))
    registry.publish("library/bad", "latest", model)

    async with serving(tmp_path) as server:
        await server.post("/api/pull", model=f"{host}/library/bad", insecure=True)

    assert sum(registry.data_bytes.values()) < 1000


INDEXES = [
    {"schemaVersion": 2, "manifests": []},
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"digest": "sha256:" + "a" * 64, "size": 3}],
    },
]


async def pulled(directory: Path, host: str) -> httpx.Response:
    """Return the answer to a pull of the bad model into an empty store."""
    async with serving(directory) as server:
        return await server.post(
            "/api/pull", model=f"{host}/library/bad", insecure=True, stream=False
        )


@pytest.mark.parametrize("index", INDEXES)
async def test_an_image_index_is_refused(
    registry: FakeRegistry, host: str, tmp_path: Path, index: dict[str, Any]
) -> None:
    registry.manifests["library/bad", "latest"] = json.dumps(index).encode()

    answer = await pulled(tmp_path, host)

    assert answer.status_code == 400
    assert "an image index" in answer.json()["error"]


async def test_an_image_of_a_program_is_refused(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    manifest = GOOD.manifest.replace(
        b"application/vnd.ollama.image.", b"application/vnd.docker.image.rootfs.diff."
    )
    registry.publish("library/bad", "latest", GOOD)
    registry.manifests["library/bad", "latest"] = manifest

    answer = await pulled(tmp_path, host)

    assert answer.status_code == 400
    assert "not a model" in answer.json()["error"]


async def test_the_model_that_was_there_stays(
    registry: FakeRegistry, host: str, tmp_path: Path
) -> None:
    """Its blobs too, though the bad model names some of them."""
    name = f"{host}/library/x:latest"
    registry.publish("library/x", "latest", GOOD)

    async with serving(tmp_path) as server:
        await server.post("/api/pull", model=name, insecure=True)
        blobs = {path.name for path in (server.store / "blobs").iterdir()}
        bad = replace(GOOD, layers=(*GOOD.layers, ("params", b"?")))
        registry.publish("library/x", "latest", bad)

        answer = await server.post("/api/pull", model=name, insecure=True, stream=False)

        assert answer.status_code == 400
        assert await server.installed() == [name]
        assert {path.name for path in (server.store / "blobs").iterdir()} == blobs
        assert (await server.post("/api/show", model=name)).json()["license"] == "MIT"


USABLE = {
    "bytes that are no UTF-8 in texts": _with(("system", b"\xff\xfe"), ("license", b"\x80")),
    "unknown kinds of layers": _with(("embed", b"[]"), ("future", b"?")),
    "unknown keys": _with(config=b'{"rootfs": {}, "model_family": "llama"}'),
    "a pair of surrogates": _with(("params", b'{"stop": ["\\ud83d\\ude00"]}')),
    "empty parameters": _with(("params", b"{}\n")),
}


@pytest.mark.parametrize("model", USABLE.values(), ids=USABLE)
async def test_what_is_unusual_but_usable_is_installed(
    registry: FakeRegistry, host: str, tmp_path: Path, model: PublishedModel
) -> None:
    name = f"{host}/library/odd:latest"
    registry.publish("library/odd", "latest", model)

    async with serving(tmp_path) as server:
        answer = await server.post("/api/pull", model=name, insecure=True)
        shown = await server.post("/api/show", model=name)

        assert lines_of(answer)[-1] == {"status": "success"}
        assert await server.installed() == [name]
        assert shown.status_code == 200
