"""Loglikelihood tasks of lm-evaluation-harness (`local-completions`): scores of a bare loop.

The requests and how replies are read are those of its class `LocalCompletionsAPI`.
"""

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.bare_llama import BareLlama
from tests.support.bare_scores import Score, true_score
from tests.support.live_server import LiveServer, live_server
from tests.support.prompts import prompt_of
from tests.support.tiny_models import CHATML, write_llama

N_QUESTIONS, N_CHOICES, N_CONCURRENT = 6, 4, 5
TOLERANCE = 1e-3
EXACT = {"OLLAMA_KV_CACHE_TYPE": "f32", "OLLAMA_FLASH_ATTENTION": "0"}

Tokens = tuple[int, ...]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    return write_llama(directory / "tiny.gguf", n_ctx=512, chat_template=CHATML)


@pytest.fixture(scope="module")
def bare(weights: Path) -> Iterator[BareLlama]:
    bare = BareLlama(weights, exact=True)
    yield bare
    bare.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), **EXACT) as running:
        running.create("tiny", weights)
        yield running


@pytest.fixture(scope="module")
def pairs(bare: BareLlama) -> list[tuple[Tokens, Tokens]]:
    """Contexts and continuations, as many of each context as a question has choices."""
    lengths = random.Random(0)
    contexts = [
        tuple(bare.tokenize(prompt_of(lengths.randint(2, 90), seed=i))) for i in range(N_QUESTIONS)
    ]
    found = []
    for context in contexts:
        greedy = int(bare.start(context).argmax())
        choices = [tuple(bare.tokenize(prompt_of(2 + i, seed=i)))[1:] for i in range(N_CHOICES - 1)]
        found += [(context, choice) for choice in [*choices, (greedy,)]]
    return found


def ask(server: LiveServer, prompts: Sequence[Tokens] | str, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "tiny",
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
        **fields,
    }
    reply = httpx.post(f"{server.url}/v1/completions", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def scores(reply: dict[str, Any], context_lengths: Sequence[int]) -> list[Score]:
    found = []
    choices = sorted(reply["choices"], key=lambda choice: choice["index"])
    for choice, length in zip(choices, context_lengths, strict=True):
        tokens = choice["logprobs"]["token_logprobs"][length:-1]
        top = choice["logprobs"]["top_logprobs"][length:-1]
        greedy = all(token == max(each.values()) for token, each in zip(tokens, top, strict=True))
        found.append((sum(tokens), greedy))
    return found


@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_task_of_choices_has_the_scores_of_the_bare_loop(
    server: LiveServer, bare: BareLlama, pairs: list[tuple[Tokens, Tokens]], batch_size: int
) -> None:
    """With several requests at once, and prompts that begin alike."""

    def scored(batch: list[tuple[Tokens, Tokens]]) -> list[Score]:
        reply = ask(server, [context + continuation for context, continuation in batch])
        return scores(reply, [len(context) for context, _ in batch])

    batches = [pairs[at : at + batch_size] for at in range(0, len(pairs), batch_size)]
    with ThreadPoolExecutor(N_CONCURRENT) as pool:
        found = [score for batch in pool.map(scored, batches) for score in batch]

    expected = [true_score(bare, *pair) for pair in pairs]
    assert [score for score, _ in found] == pytest.approx([s for s, _ in expected], abs=TOLERANCE)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert any(greedy for _, greedy in found)


def test_without_tokens_to_generate_only_the_prompt_is_scored(
    server: LiveServer, bare: BareLlama
) -> None:
    text = prompt_of(12)
    tokens = bare.tokenize(text)

    reply = ask(server, text, max_tokens=0)

    [choice] = reply["choices"]
    lists = choice["logprobs"]
    assert choice["text"] == text
    assert choice["finish_reason"] == "length"
    assert len(lists["tokens"]) == len(tokens)
    assert lists["token_logprobs"][0] is lists["top_logprobs"][0] is None
    assert sum(lists["token_logprobs"][1:]) == pytest.approx(
        true_score(bare, tuple(tokens[:1]), tuple(tokens[1:]))[0], abs=TOLERANCE
    )
    assert reply["usage"]["completion_tokens"] == 0


def test_offsets_point_into_the_text_whatever_the_tokenizer_added(server: LiveServer) -> None:
    text = "Once upon a time, 日本 was é"

    [choice] = ask(server, text, max_tokens=4)["choices"]

    lists = choice["logprobs"]
    assert choice["text"].startswith(text)
    places = zip(lists["tokens"], lists["text_offset"], strict=True)
    for token, offset in list(places)[2:]:
        assert "\ufffd" in token or choice["text"][offset:].startswith(token), (token, offset)


def test_a_stream_has_the_same_entries(server: LiveServer) -> None:
    text = prompt_of(60)
    [whole] = ask(server, text, max_tokens=3)["choices"]

    body = {"model": "tiny", "prompt": text, "temperature": 0, "max_tokens": 3, "logprobs": 1}
    body |= {"echo": True, "stream": True}
    reply = httpx.post(f"{server.url}/v1/completions", json=body, timeout=120)

    events = [
        json.loads(line[6:]) for line in reply.text.split("\n\n") if line.startswith("data: {")
    ]
    choices = [choice for event in events for choice in event["choices"]]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    for name in ("tokens", "text_offset"):
        streamed = [item for c in choices if c.get("logprobs") for item in c["logprobs"][name]]
        assert streamed == whole["logprobs"][name]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": [1] * 600}, "context"),
        ({"suffix": " end"}, "suffix"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": [1, 10**8]}, "token"),
    ],
    ids=str,
)
def test_what_cannot_be_scored_is_refused(
    server: LiveServer, fields: dict[str, Any], word: str
) -> None:
    """A prompt that is cut would have other tokens than those that the client counts."""
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 1, "logprobs": 1, "echo": True, **fields}

    reply = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60)

    assert reply.status_code == 400
    assert word in reply.json()["error"]["message"]
