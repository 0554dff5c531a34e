"""Speed of a model as a client sees it: prompt and decode tokens per second, first token, load."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.client.api import ApiClient

_WORDS = "the cat sat on a mat and saw how rain fell over hills near some old town ".split()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One answer: counts in tokens, times in seconds."""

    prompt_tokens: int
    prompt_seconds: float
    tokens: int
    decode_seconds: float
    first_token: float
    load: float

    @property
    def prompt_rate(self) -> float:
        """Tokens of the prompt per second."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def decode_rate(self) -> float:
        """Tokens of the answer per second."""
        return self.tokens / self.decode_seconds if self.decode_seconds else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of several answers, the time of a cold load, and the memory of the loaded model."""

    model: str
    prompt_rate: float
    decode_rate: float
    first_token: float
    cold_load: float
    memory: int
    gpu_memory: int
    context: int


def measure(
    client: ApiClient,
    model: str,
    *,
    n_prompt: int,
    n_tokens: int,
    repeats: int,
    note: Callable[[str], None],
) -> Result:
    """Load a model anew and have it answer several times; each prompt is a new one."""
    client.generate(model, keep_alive=0)
    note("loading")
    cold = _answer(client, model, "", 1)
    note("warming up")
    _answer(client, model, prompt(n_prompt, 0), n_tokens)
    answers = []
    for n in range(1, repeats + 1):
        note(f"measuring {n}/{repeats}")
        answers.append(_answer(client, model, prompt(n_prompt, n), n_tokens))
    name = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
    models = client.loaded()
    loaded: dict[str, Any] = next((m for m in models if m["name"] == name), {})
    return Result(
        model=name,
        prompt_rate=statistics.median(a.prompt_rate for a in answers),
        decode_rate=statistics.median(a.decode_rate for a in answers),
        first_token=statistics.median(a.first_token for a in answers),
        cold_load=cold.load,
        memory=loaded.get("size", 0),
        gpu_memory=loaded.get("size_vram", 0),
        context=loaded.get("context_length", 0),
    )


def prompt(n_words: int, number: int) -> str:
    """Return a text of so many words that begins unlike those of other numbers."""
    rest = (_WORDS[(number * 7 + i * (number + 1)) % len(_WORDS)] for i in range(n_words - 1))
    return " ".join((str(number), *rest))


def _answer(client: ApiClient, model: str, text: str, n_tokens: int) -> Measurement:
    started = time.monotonic()
    parts = client.generate(
        model,
        text,
        raw=True,
        stream=True,
        options={"temperature": 0, "num_predict": n_tokens, "ignore_eos": True, "seed": 1},
    )
    last = next(parts)
    first = time.monotonic() - started
    for part in parts:
        last = part
    return Measurement(
        prompt_tokens=last.prompt_eval_count or 0,
        prompt_seconds=(last.prompt_eval_duration or 0) / 1e9,
        tokens=last.eval_count or 0,
        decode_seconds=(last.eval_duration or 0) / 1e9,
        first_token=first,
        load=(last.load_duration or 0) / 1e9,
    )
