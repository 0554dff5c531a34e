"""A model file that would end a runner is refused when a model is made of it, with the reason.

Each of these ended llama.cpp's process: by an assertion, or by reading beyond a buffer.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.gguf_edit import edit
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_llama, write_lora

NAN = float("nan")
EPSILON = "llama.attention.layer_norm_rms_epsilon"
BAD_KEYS: list[tuple[str, object]] = [
    ("general.architecture", "\n\x1b[31mllama"),
    ("llama.block_count", 0),
    ("llama.block_count", 9999),
    ("llama.context_length", 0),
    ("llama.context_length", "many"),
    ("llama.embedding_length", 0),
    ("llama.expert_used_count", 2),
    ("llama.expert_count", 9999),
    ("llama.expert_group_count", 2),
    ("llama.pooling_type", 9),
    ("llama.rope.freq_base", NAN),
    ("llama.rope.scaling.type", "bogus"),
    ("tokenizer.ggml.model", "none"),
    ("tokenizer.ggml.model", "no_vocab"),
    ("tokenizer.ggml.model", 7),
    ("tokenizer.ggml.tokens", ["a"]),
    ("tokenizer.ggml.scores", [0.0]),
    ("tokenizer.ggml.token_type", [1, 1, 1]),
    (EPSILON, NAN),
    (EPSILON, -1.0),
    (EPSILON, float("inf")),
]
MISSING = [
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    EPSILON,
    "token_embd.weight",
    "blk.0.attn_q.weight",
]
BAD_TENSORS: list[tuple[str, Any]] = [
    ("blk.0.attn_q.weight", np.int32),
    ("blk.0.attn_q.weight", np.int8),
    ("blk.0.ffn_down.weight", np.float64),
    ("token_embd.weight", np.int64),
    ("output.weight", np.int16),
    ("output_norm.weight", np.float16),
    ("blk.1.attn_norm.weight", np.float16),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("base") / "base.gguf")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("models")) as running:
        running.create("base", base)
        yield running


def refusal(server: LiveServer, file: Path, field: str = "files", **fields: object) -> str:
    """Fail to make a model of `file`, and return the error."""
    content = file.read_bytes()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    body = {"model": "bad", field: {file.name: digest}, "stream": False, **fields}
    with httpx.Client(base_url=server.url, timeout=60) as http:
        http.post(f"/api/blobs/{digest}", content=content).raise_for_status()
        answer = http.post("/api/create", json=body)
        assert answer.status_code == 400
        models = http.get("/api/tags").json()["models"]
        assert [model["name"] for model in models] == ["base:latest"]
    error = answer.json()["error"]
    assert isinstance(error, str)
    return error


@pytest.mark.parametrize(("key", "value"), BAD_KEYS)
def test_key_with_a_value_that_ends_runners_is_refused_by_name(
    server: LiveServer, base: Path, tmp_path: Path, key: str, value: object
) -> None:
    assert key in refusal(server, edit(base, tmp_path / "bad.gguf", keys={key: value}))


@pytest.mark.parametrize("name", MISSING)
def test_missing_key_or_tensor_is_told(
    server: LiveServer, base: Path, tmp_path: Path, name: str
) -> None:
    error = refusal(server, edit(base, tmp_path / "bad.gguf", without=[name]))

    assert name in error
    assert "missing" in error


@pytest.mark.parametrize(("name", "kind"), BAD_TENSORS)
def test_tensor_of_a_type_that_ends_runners_is_refused_by_name(
    server: LiveServer, base: Path, tmp_path: Path, name: str, kind: Any
) -> None:
    tensors = {name: lambda data: data.astype(kind)}

    assert name in refusal(server, edit(base, tmp_path / "bad.gguf", tensors=tensors))


@pytest.mark.parametrize(
    ("key", "value"), [("adapter.lora.alpha", "much"), ("adapter.lora.alpha", NAN)]
)
def test_adapter_with_a_value_that_ends_runners_is_refused_by_name(
    server: LiveServer, base: Path, tmp_path: Path, key: str, value: object
) -> None:
    lora = write_lora(tmp_path / "lora.gguf", base)
    bad = edit(lora, tmp_path / "bad.gguf", keys={key: value})

    assert key in refusal(server, bad, "adapters", **{"from": "base"})


def test_adapter_with_tensors_of_integers_is_refused(
    server: LiveServer, base: Path, tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "lora.gguf", base)
    name = "blk.0.attn_v.weight.lora_a"
    bad = edit(lora, tmp_path / "bad.gguf", tensors={name: lambda data: data.astype(np.int32)})

    assert name in refusal(server, bad, "adapters", **{"from": "base"})


def test_adapter_without_a_model_is_refused(server: LiveServer, base: Path, tmp_path: Path) -> None:
    assert "weights" in refusal(server, write_lora(tmp_path / "lora.gguf", base))


def test_name_of_the_architecture_is_not_written_raw_to_the_log(
    server: LiveServer, base: Path, tmp_path: Path
) -> None:
    """A log is read in terminals, which would obey what a file says."""
    refusal(server, edit(base, tmp_path / "bad.gguf", keys={"general.architecture": "a\x1b[31mb"}))

    assert "\x1b[31m" not in server.log.read_text()


def test_weights_that_are_no_numbers_end_in_an_error(
    server: LiveServer, base: Path, tmp_path: Path
) -> None:
    """Any token would be as likely as any other: text of that is rubbish."""
    tensors = {"output_norm.weight": lambda data: data * np.float32(NAN)}
    server.create("nan", edit(base, tmp_path / "nan.gguf", tensors=tensors))
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for temperature in (0.0, 0.8):
            options = {"temperature": temperature}
            body = {"model": "nan", "prompt": "Hello", "stream": False, "options": options}
            answer = http.post("/api/generate", json=body)

            assert answer.status_code == 500
            assert "NaN" in json.loads(answer.text)["error"]
        http.request("DELETE", "/api/delete", json={"model": "nan"}).raise_for_status()
