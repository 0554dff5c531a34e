"""lm-evaluation-harness: a task of its own over `local-completions`, with a bare loop's numbers."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live_server import PYTHON, LiveServer, live_server

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.openai_completions import LocalCompletionsAPI

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "model_store" / "bundled" / "paddock.gguf"
EXACT = {"OLLAMA_KV_CACHE_TYPE": "f32", "OLLAMA_FLASH_ATTENTION": "0", "PADDOCK_NO_BUILTIN": "0"}
TOLERANCE = 2e-3
QUESTIONS = [
    ("How do I list my models?", ["ollama list", "ollama pull", "ollama stop"], 0),
    ("How do I delete a model?", ["ollama cp", "ollama rm NAME", "ollama show"], 1),
    ("Where are models stored?", ["in a database", "nowhere", "in ~/.ollama/models"], 2),
    ("Which port is used?", ["11434", "80", "8080", "443"], 0),
]


class Tokenizer:
    """The model's own tokenizer, through the server."""

    eos_token, bos_token, eos_token_id, bos_token_id = "", "", 0, 0

    def __init__(self, url: str) -> None:
        self._url = url

    def encode(self, text: str) -> list[int]:
        body = {"model": "paddock", "content": text}
        reply = httpx.post(f"{self._url}/api/tokenize", json=body, timeout=60)
        return list(reply.raise_for_status().json()["tokens"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose cache is as exact as that of the bare loop."""
    with live_server(tmp_path_factory.mktemp("evaluation"), **EXACT) as running:
        yield running


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> ConfigurableTask:
    file = tmp_path_factory.mktemp("task") / "questions.jsonl"
    rows = [dict(zip(("question", "choices", "answer"), row, strict=True)) for row in QUESTIONS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ConfigurableTask(
        config={
            "task": "paddock_questions",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(file)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc"}],
        }
    )


@pytest.mark.parametrize("n_concurrent", [1, 4])
def test_a_task_has_the_numbers_of_a_bare_loop(
    server: LiveServer, task: ConfigurableTask, n_concurrent: int
) -> None:
    model = LocalCompletionsAPI(
        model="paddock",
        base_url=f"{server.url}/v1/completions",
        tokenizer_backend=None,
        num_concurrent=n_concurrent,
        batch_size=3,
    )
    tokenizer = Tokenizer(server.url)
    model.tokenizer, model.tokenizer_backend, model.tokenized_requests = tokenizer, "remote", True

    found = lm_eval.simple_evaluate(model=model, tasks=[task], bootstrap_iters=0)

    samples = found["samples"]["paddock_questions"]
    scored = [tuple(score) for sample in samples for score in sample["filtered_resps"]]
    expected = true_scores(tokenizer)
    assert [is_greedy for _, is_greedy in scored] == [is_greedy for _, is_greedy in expected]
    for (value, _), (true_value, _) in zip(scored, expected, strict=True):
        assert value == pytest.approx(true_value, abs=TOLERANCE * max(1.0, abs(true_value)))
    assert found["results"]["paddock_questions"]["acc,none"] == accuracy(expected)


def true_scores(tokenizer: Tokenizer) -> list[tuple[float, bool]]:
    """Return the scores of all choices by llama.cpp alone."""
    pairs = []
    for question, choices, _ in QUESTIONS:
        text = f"Question: {question}\nAnswer:"
        context = tokenizer.encode(text)
        pairs += [(context, tokenizer.encode(f"{text} {each}")[len(context) :]) for each in choices]
    command = [PYTHON, "-m", "tests.support.bare_scores", str(WEIGHTS)]
    done: Any = subprocess.run(
        command, input=json.dumps(pairs), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [tuple(score) for score in json.loads(done.stdout.splitlines()[-1])]


def accuracy(scores: list[tuple[float, bool]]) -> float:
    """Return how many of the questions have the right choice as the most probable one."""
    n_right, start = 0, 0
    for _, choices, answer in QUESTIONS:
        values = [value for value, _ in scores[start : start + len(choices)]]
        start += len(choices)
        n_right += values.index(max(values)) == answer
    return n_right / len(QUESTIONS)
