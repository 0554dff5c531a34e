"""Answers at temperature 0 are those of llama.cpp alone, whatever paddock does to be fast."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.protocol.constraints import Literal
from runners.protocol.load_spec import CacheType, FlashAttention
from tests.support.bare_llama import BareLlama, logprobs
from tests.support.stepped_engine import FixedCost, StartEngine, SteppedEngine

PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n",
    "Water boils at",
    "Once upon a time there was a",
    "The three primary colours are",
    "import os\n\ndef read(path):\n",
    "In 1969, the first",
    "To make bread you need",
    "1, 2, 4, 8, 16,",
    "SELECT name FROM users WHERE",
    "Dear Sir or Madam,\n",
    "The opposite of hot is",
    "Paris, London, Berlin,",
    '{"name": "Ada", "born":',
    "A triangle has",
    "The sun rises in the",
    "for (int i = 0;",
    "My favourite book is",
    "Q: What is 2 + 2?\nA:",
    "The mitochondria is",
)
N_PREDICT = 24
NEAR_TIE = 0.5
"""Log probability by which a token may differ: batches of other sizes round differently."""
BATCH_TIE = 1.0
"""The same for prompts computed together, whose kernels for several rows round K quants otherwise:
0.66 was seen with Qwen2.5-Coder."""
SCORED_ROWS = 32
"""Rows with logits that a step has at most; kernels for more rows round otherwise."""
AS_SERVED = {
    "n_ctx": 2048,
    "n_cells": 8192,
    "n_batch": 512,
    "cache_type": CacheType.F16,
    "flash_attention": FlashAttention.AUTO,
}


@pytest.fixture
def bare(generative: Path) -> Iterator[BareLlama]:
    bare = BareLlama(generative)
    yield bare
    bare.close()


@pytest.fixture
def engine(start_engine: StartEngine, generative: Path) -> SteppedEngine:
    return start_engine(generative, **AS_SERVED)


def assert_is_greedy(bare: BareLlama, prompt: str, tokens: tuple[int, ...], *, tie: float) -> None:
    """Each token of the output is the best one, up to the first that differs by at most `tie`."""
    start = bare.tokenize(prompt)
    output = tokens[len(start) - len(bare.tokenize("")) :]  # an empty text has BOS, if any has
    logits = bare.start(start)
    for place, token in enumerate(output):
        found = logprobs(logits)
        behind = float(found.max() - found[token])
        assert behind <= tie, f"{prompt!r}, token {place} is not the best one"
        if behind:
            return
        logits = bare.advance([token])


def outputs(engine: SteppedEngine, prompts: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return the tokens of prompt and output of each prompt, all computed at once."""
    answers = [engine.ask(prompt, n_predict=N_PREDICT, return_tokens=True) for prompt in prompts]
    engine.run()
    return [answer.done.tokens or () for answer in answers]


def test_answers_are_those_of_the_bare_loop(bare: BareLlama, engine: SteppedEngine) -> None:
    """Alone, and again from the prefix that is still in memory, but for near ties."""
    for prompt in PROMPTS[:6]:
        for _ in range(2):
            (tokens,) = outputs(engine, (prompt,))
            assert_is_greedy(bare, prompt, tokens, tie=NEAR_TIE)
    assert engine.stats.n_prompt_reused


def test_answers_in_a_batch_are_those_of_the_bare_loop_but_for_near_ties(
    bare: BareLlama, engine: SteppedEngine
) -> None:
    for prompt, tokens in zip(PROMPTS, outputs(engine, PROMPTS), strict=True):
        assert_is_greedy(bare, prompt, tokens, tie=BATCH_TIE)


def test_probabilities_are_those_of_the_bare_loop(bare: BareLlama, engine: SteppedEngine) -> None:
    """The perplexity of a text, forced upon the model, differs by at most a thousandth."""
    text = Path(__file__).parents[2].joinpath("LICENSE").read_text()[:600]
    answer = engine.answer(
        "The licence:\n", constraint=Literal(text), logprobs=0, n_predict=800, return_tokens=True
    )
    assert answer.text == text
    assert answer.done.tokens is not None

    forced = answer.done.tokens[-len(answer.logprobs) :]
    logits, total = bare.start(bare.tokenize("The licence:\n")), 0.0
    for token in forced:
        total += float(logprobs(logits)[token])
        logits = bare.advance([token])

    found = sum(entry.chosen.logprob for entry in answer.logprobs)
    assert np.exp(-found / len(forced)) == pytest.approx(np.exp(-total / len(forced)), rel=1e-3)


def test_the_perplexity_of_four_kilobytes_is_that_of_the_bare_loop(
    bare: BareLlama, engine: SteppedEngine
) -> None:
    """A whole prompt is computed as llama.cpp alone computes it, to a thousandth."""
    text = Path(__file__).parents[2].joinpath("docs", "architecture.md").read_text()[:4000]

    answer = engine.answer(text, n_predict=0, logprobs=0, prompt_logprobs=True, truncate=False)

    _, *rest = [entry.chosen.logprob for entry in answer.prompt_logprobs]
    scores = bare.score(bare.tokenize(text), n_rows=SCORED_ROWS)
    assert len(rest) == len(scores) > 700
    assert np.exp(-np.mean(rest)) == pytest.approx(np.exp(-np.mean(scores)), rel=1e-3)


def test_speculative_decoding_changes_no_answer_but_for_near_ties(
    bare: BareLlama, start_engine: StartEngine, generative: Path
) -> None:
    """Free text and text that is repeated, which is drafted."""
    engine = start_engine(generative, near_tie=1.0, step_cost=FixedCost(), **AS_SERVED)
    listing = "".join(f"item {n}: {PROMPTS[n % 5]}\n" for n in range(12))
    prompts = (*PROMPTS, f"{listing}\nThe same list again:\n\n{listing[:120]}")
    for prompt in prompts:
        answer = engine.answer(prompt, n_predict=N_PREDICT, n_draft=15, return_tokens=True)
        assert_is_greedy(bare, prompt, answer.done.tokens or (), tie=BATCH_TIE)
    assert engine.stats.n_accepted
