"""Real models do through the API what their users expect."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.live_server import LiveServer

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
GREEDY = {"temperature": 0}


@pytest.fixture(scope="module")
def api(server: LiveServer, coder: Path) -> Iterator[httpx.Client]:
    server.create("coder", coder)
    with httpx.Client(base_url=server.url, timeout=120) as client:
        yield client


def chat(api: httpx.Client, question: str, **fields: object) -> dict[str, object]:
    body = {
        "model": "coder",
        "messages": [{"role": "user", "content": question}],
        "stream": False,
        "options": GREEDY | {"num_predict": 100},
        **fields,
    }
    message: dict[str, object] = api.post("/api/chat", json=body).raise_for_status().json()
    return message


def test_a_question_is_answered(api: httpx.Client) -> None:
    answer = chat(api, "What is the capital of France? Answer with one word.")
    assert "Paris" in answer["message"]["content"]
    assert answer["done_reason"] == "stop"


def test_an_answer_has_the_requested_form(api: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
        "required": ["city", "population"],
    }
    answer = chat(api, "Tell me about Paris, as JSON.", format=schema)
    assert json.loads(answer["message"]["content"])["city"] == "Paris"


def test_a_tool_that_is_demanded_is_called(api: httpx.Client) -> None:
    body = {
        "model": "coder",
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": [TOOL],
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 100,
    }
    choice = api.post("/v1/chat/completions", json=body).raise_for_status().json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert "Rome" in json.loads(call["function"]["arguments"])["city"]


def test_a_conversation_goes_on_where_it_was(api: httpx.Client) -> None:
    """The second turn computes what is new, and remembers the first."""
    first = chat(api, "My name is Ada. " + "Please remember it. " * 20)
    messages = [
        {"role": "user", "content": "My name is Ada. " + "Please remember it. " * 20},
        first["message"],
        {"role": "user", "content": "What is my name?"},
    ]
    second = chat(api, "", messages=messages)
    assert "Ada" in second["message"]["content"]
    assert second["prompt_eval_count"] > 100


def test_a_gap_in_a_program_is_filled_from_both_sides(api: httpx.Client) -> None:
    """The file has no Go template: its vocabulary has the tokens, and `show` tells editors so."""
    shown = api.post("/api/show", json={"model": "coder"}).raise_for_status().json()
    assert "insert" in shown["capabilities"]
    assert ".Suffix" in shown["template"]

    body = {
        "model": "coder",
        "prompt": "def add(first, second):\n    return ",
        "suffix": "\n\n\nprint(add(1, 2))\n",
        "stream": False,
        "options": GREEDY | {"num_predict": 32},
    }
    answer = api.post("/api/generate", json=body).raise_for_status().json()
    assert answer["response"].splitlines()[0].strip() == "first + second"


def test_embeddings_of_similar_sentences_are_close(server: LiveServer, minilm: Path) -> None:
    """A folder of safetensors becomes a model, whose vectors tell similar from different."""
    with httpx.Client(base_url=server.url, timeout=120) as api:
        files = {}
        for name in ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt",
                     "tokenizer_config.json", "modules.json", "1_Pooling/config.json"):  # fmt: skip
            path = minilm / name
            if path.exists():
                files[name] = upload(api, path.read_bytes())
        body = {"model": "minilm", "files": files, "stream": False}
        api.post("/api/create", json=body).raise_for_status()
        texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Stocks fell on Monday."]
        found = api.post("/api/embed", json={"model": "minilm", "input": texts})
    cat, kitten, stocks = np.array(found.raise_for_status().json()["embeddings"])
    assert cat @ kitten > 0.5
    assert cat @ stocks < 0.3


def upload(api: httpx.Client, content: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    api.post(f"/api/blobs/{digest}", content=content).raise_for_status()
    return digest
