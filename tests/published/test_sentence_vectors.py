"""all-MiniLM-L6-v2 made from its safetensors embeds as sentence-transformers does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.live_server import LiveServer
from tests.support.numpy_bert import NumpyBert

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
         "modules.json", "1_Pooling/config.json", "special_tokens_map.json")  # fmt: skip
SENTENCES = (
    "A cat sits on the mat.",
    "How do I install a model from a file?",
    "The quick brown fox jumps over the lazy dog",
    "Stocks fell on Monday after the central bank raised interest rates by 0.25 %.",
    "def add(first, second):\n    return first + second",
    "Café crème, naïve façade, Ångström and Zürich",
    "東京 is the capital of 日本.",
    "Don't you think it's state-of-the-art?",
    "E=mc² & 3×4≠13 (see §7) — “quoted” …",  # noqa: RUF001 - as hard as texts are
    "Привет, мир! مرحبا بالعالم",
    "emoji 🙂👋🏽 and symbols ±∞√€£¥",
    "http://example.com/a_b?c=d&e=f#g user@example.org C:\\Temp\\x.txt",
    "antidisestablishmentarianism floccinaucinihilipilification",
    "1234567890 3.14159 1,000,000 12/31/2024 10:45 pm",
    "UPPER lower MiXeD",
)
TEXTS = (
    *SENTENCES,
    *(f"{first} {second}" for first, second in zip(SENTENCES, SENTENCES[5:], strict=False)),
    *(" ".join(sentence.split()[::-1]) for sentence in SENTENCES[:10]),
    *(sentence * 4 for sentence in SENTENCES[:10]),
    *("sun", "a", "!", "the the the", "weather in Paris"),
)


@pytest.fixture(scope="module")
def api(server: LiveServer, minilm: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120) as api:
        files = {}
        for name in FILES:
            content = (minilm / name).read_bytes()
            files[name] = "sha256:" + hashlib.sha256(content).hexdigest()
            api.post(f"/api/blobs/{files[name]}", content=content).raise_for_status()
        body = {"model": "sentences", "files": files, "stream": False}
        api.post("/api/create", json=body).raise_for_status()
        yield api


@pytest.fixture(scope="module")
def reference(minilm: Path) -> NumpyBert:
    return NumpyBert(minilm)


def test_vectors_point_where_those_of_the_reference_do(
    api: httpx.Client, reference: NumpyBert
) -> None:
    body = {"model": "sentences", "input": list(TEXTS)}
    vectors = np.array(api.post("/api/embed", json=body).raise_for_status().json()["embeddings"])

    assert len(TEXTS) == 50
    cosines = [vector @ reference.embed(text) for vector, text in zip(vectors, TEXTS, strict=True)]
    assert min(cosines) >= 0.9999, TEXTS[int(np.argmin(cosines))]
