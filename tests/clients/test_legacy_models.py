"""The official Python library uses models in legacy layouts: one file with text and images."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ollama import Client, ResponseError
from PIL import Image

from tests.support.image_files import encoded
from tests.support.legacy.layouts import LAYOUTS
from tests.support.legacy.plain_file import PlainFile
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_vision import picture

GREEDY = {"temperature": 0, "num_predict": 8}


def image(seed: int = 0) -> bytes:
    shown = picture(seed, width=96, height=64)
    return encoded(Image.frombytes("RGB", (shown.width, shown.height), shown.rgb))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    directory = tmp_path_factory.mktemp("legacy")
    with live_server(directory) as running:
        for name in ("mistral3", "gptoss", "embeddinggemma", "nemotron_h_omni"):
            running.create(name, LAYOUTS[name]().file.write(directory / f"{name}.gguf"))
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    with Client(server.url, timeout=60) as client:
        yield client


def files(server: LiveServer) -> list[str]:
    """Return the names of all files of the store but the manifests."""
    folders = (server.store / "blobs", server.store / "projectors")
    return sorted(path.name for folder in folders for path in folder.glob("*"))


def test_a_model_shows_the_architecture_and_capabilities_of_its_file(client: Client) -> None:
    shown = client.show("mistral3")

    assert shown.details.family == "mistral3"
    assert shown.capabilities == ["completion", "vision"]
    assert client.show("gptoss").modelinfo["general.architecture"] == "gptoss"
    omni = client.show("nemotron_h_omni")
    assert omni.details.family == "nemotron_h_omni"
    assert omni.capabilities == ["completion", "vision", "audio", "tools", "thinking"]
    assert client.show("embeddinggemma").capabilities == ["embedding"]


def test_an_answer_depends_on_the_image(client: Client) -> None:
    prompts = ([], [image(1)], [image(2)])
    answers = [
        client.generate("mistral3", "What is it?", images=images, options=GREEDY).response
        for images in prompts
    ]

    assert len(set(answers)) == 3


def test_text_is_generated_tokenized_and_embedded(server: LiveServer, client: Client) -> None:
    assert client.generate("gptoss", "Once", options=GREEDY).eval_count == 8
    assert len(client.embed("embeddinggemma", "Once").embeddings[0]) == 32
    body = {"model": "mistral3", "content": "Once upon"}
    with httpx.Client(base_url=server.url) as http:
        assert http.post("/api/tokenize", json=body).json()["tokens"]


def test_the_store_holds_the_file_once_and_its_projector_goes_with_the_model(
    server: LiveServer, client: Client
) -> None:
    content = LAYOUTS["gemma3"]().file.write(server.store.parent / "gemma3.gguf").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    before = files(server)
    server.create("gemma3", server.store.parent / "gemma3.gguf")
    client.generate("gemma3", "What is it?", images=[image()], options=GREEDY)
    added = [name for name in files(server) if name not in before]
    sizes = [(server.store / "blobs" / f"sha256-{digest}").stat().st_size]
    assert sum(digest in name for name in added) == 2
    assert sizes == [len(content)]

    client.delete("gemma3")

    assert files(server) == before


def without(file: PlainFile, *names: str) -> PlainFile:
    file = file.copy()
    for name in names:
        file.tensors.pop(name, None)
        file.keys.pop(name, None)
    return file


BROKEN = {
    "deepseekocr": "deepseekocr.sam.block_count",
    "gemma3": "v.blk.0.attn_q.weight",
    "gemma4": "gemma4.audio.embedding_length",
    "gptoss": "blk.0.ffn_gate_exps.weight",
    "gemma3n": "blk.1.attn_q.weight",
    "glm4moelite": "glm4moelite.attention.kv_lora_rank",
    "llama4": "blk.1.ffn_down_exps.weight",
    "mistral3": "mistral3.vision.attention.head_count",
    "nemotron_h_moe": "blk.2.ffn_latent_in.weight",
    "nemotron_h_omni": "a.feature_extractor.window",
    "qwen25vl": "v.merger.mlp.0.weight",
    "qwen3vl": "v.blk.1.attn_k.weight",
    "qwen35": "qwen35.vision.patch_size",
    "embeddinggemma": "token_embd.weight",
    "lfm2": "lfm2.context_length",
    "olmo3": "olmo3.attention.layer_norm_rms_epsilon",
    "qwen3next": "blk.0.ssm_dt",
}


@pytest.mark.parametrize(("name", "missing"), BROKEN.items())
def test_a_file_that_lacks_a_part_is_refused_with_the_reason(
    server: LiveServer, client: Client, tmp_path: Path, name: str, missing: str
) -> None:
    path = without(LAYOUTS[name]().file, missing).write(tmp_path / "broken.gguf")

    with pytest.raises(httpx.HTTPStatusError) as refused:
        server.create("broken", path)

    assert refused.value.response.status_code == 400
    assert refused.value.response.json()["error"]
    with pytest.raises(ResponseError, match="not found"):
        client.show("broken")


def test_a_model_in_a_legacy_layout_is_not_quantized(client: Client) -> None:
    with pytest.raises(ResponseError, match="former engine") as refused:
        client.create("small", from_="mistral3", quantize="q4_K_M")

    assert refused.value.status_code == 400
