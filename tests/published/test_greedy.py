"""Answers at temperature 0 are those of llama.cpp alone, whatever paddock does to be fast."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.protocol.constraints import Literal
from runners.protocol.load_spec import CacheType, FlashAttention
from runners.protocol.prefixes import PrefixStorage
from tests.support.bare_llama import BareLlama, Logits, logprobs
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
FACTS = """Some facts, and the beginnings of some files.

The capital of France is Paris. Water boils at 100 degrees Celsius at sea level. The three primary
colours are red, yellow and blue. In 1969, the first people walked on the Moon. To make bread you
need flour, water, salt and yeast. The opposite of hot is cold. A triangle has three sides and
three corners. The sun rises in the east and sets in the west. The mitochondria is the powerhouse
of the cell. Paris, London, Berlin, Rome and Madrid are capitals of Europe. 1, 2, 4, 8, 16, 32, 64.

def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)

SELECT name FROM users WHERE age > 18 ORDER BY name;

for (int i = 0; i < 10; i++) { printf("%d", i); }

{"name": "Ada", "born": 1815}

Dear Sir or Madam,
I am writing to you about the book that I ordered last week.

"""
"""So long that a runner keeps it in a file."""
N_PREDICT = 24
N_AFTER_FACTS = 8
NEAR_TIE = 0.5
"""Log probability by which a token may differ: batches of other sizes round differently."""
BATCH_TIE = 1.0
"""The same for prompts computed together, whose kernels for several rows round K quants otherwise:
0.66 was seen with Qwen2.5-Coder."""
MAX_TIES = 6
"""Of twenty answers so many may differ by a near tie."""
SCORED_ROWS = 32
"""Rows with logits that a step has at most; kernels for more rows round otherwise."""
AS_SERVED = {
    "n_ctx": 2048,
    "n_cells": 8192,
    "n_batch": 512,
    "cache_type": CacheType.F16,
    "flash_attention": FlashAttention.AUTO,
}


class Reference(BareLlama):
    """Remembers by prompt what it answers, which most tests ask for."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        self.answers: dict[str, tuple[int, ...]] = {}


@pytest.fixture(scope="session")
def bare(generative: Path) -> Iterator[Reference]:
    bare = Reference(generative)
    yield bare
    bare.close()


@pytest.fixture
def engine(start_engine: StartEngine, generative: Path) -> SteppedEngine:
    return start_engine(generative, **AS_SERVED)


def assert_is_greedy(bare: Reference, prompt: str, tokens: tuple[int, ...], *, tie: float) -> None:
    """Each token of the output is the best one, up to the first that differs by at most `tie`."""
    start = bare.tokenize(prompt)
    output = tokens[len(start) - len(bare.tokenize("")) :]  # an empty text has BOS, if any has
    if output != bare.answers.get(prompt) and is_greedy(
        bare, bare.start(start), output, tie=tie, name=prompt
    ):
        bare.answers[prompt] = output


def is_greedy(
    bare: BareLlama, logits: Logits, output: tuple[int, ...], *, tie: float, name: str
) -> bool:
    """Whether all of the output is the best, and not only up to a token that is nearly so.

    Fails where a token is behind the best one by more than `tie`.
    """
    for place, token in enumerate(output):
        found = logprobs(logits)
        behind = float(found.max() - found[token])
        assert behind <= tie, f"{name!r}, token {place} is not the best one"
        if behind:
            return False
        logits = bare.advance([token])
    return True


def outputs(engine: SteppedEngine, prompts: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return the tokens of prompt and output of each prompt, all computed at once."""
    answers = [engine.ask(prompt, n_predict=N_PREDICT, return_tokens=True) for prompt in prompts]
    engine.run()
    return [answer.done.tokens or () for answer in answers]


def test_answers_are_those_of_the_bare_loop(bare: Reference, engine: SteppedEngine) -> None:
    """Alone, and again from the prefix that is still in memory, but for near ties."""
    for prompt in PROMPTS[:6]:
        for _ in range(2):
            (tokens,) = outputs(engine, (prompt,))
            assert_is_greedy(bare, prompt, tokens, tie=NEAR_TIE)
    assert engine.stats.n_prompt_reused


def test_answers_in_a_batch_are_those_of_the_bare_loop_but_for_near_ties(
    bare: Reference, engine: SteppedEngine
) -> None:
    for prompt, tokens in zip(PROMPTS, outputs(engine, PROMPTS), strict=True):
        assert_is_greedy(bare, prompt, tokens, tie=BATCH_TIE)


def test_probabilities_are_those_of_the_bare_loop(bare: Reference, engine: SteppedEngine) -> None:
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
    bare: Reference, engine: SteppedEngine
) -> None:
    """A whole prompt is computed as llama.cpp alone computes it, to a thousandth."""
    text = Path(__file__).parents[2].joinpath("docs", "architecture.md").read_text()[:4000]

    answer = engine.answer(text, n_predict=0, logprobs=0, prompt_logprobs=True, truncate=False)

    _, *rest = [entry.chosen.logprob for entry in answer.prompt_logprobs]
    scores = bare.score(bare.tokenize(text), n_rows=SCORED_ROWS)
    assert len(rest) == len(scores) > 700
    assert np.exp(-np.mean(rest)) == pytest.approx(np.exp(-np.mean(scores)), rel=1e-3)


def test_speculative_decoding_changes_no_answer_but_for_near_ties(
    bare: Reference, start_engine: StartEngine, generative: Path
) -> None:
    """Free text and text that is repeated, which is drafted."""
    engine = start_engine(generative, near_tie=1.0, step_cost=FixedCost(), **AS_SERVED)
    listing = "".join(f"item {n}: {PROMPTS[n % 5]}\n" for n in range(12))
    prompts = (*PROMPTS, f"{listing}\nThe same list again:\n\n{listing[:120]}")
    for prompt in prompts:
        answer = engine.answer(prompt, n_predict=N_PREDICT, n_draft=15, return_tokens=True)
        assert_is_greedy(bare, prompt, answer.done.tokens or (), tie=BATCH_TIE)
    assert engine.stats.n_accepted


def test_answers_after_a_restored_prefix_are_those_of_the_bare_loop(
    bare: Reference, start_engine: StartEngine, generative: Path, tmp_path: Path
) -> None:
    """With everything that saves work at once: a prefix from a file of the runner before, a
    checkpoint where the window has moved on since, and drafts.
    """
    storage = PrefixStorage(str(tmp_path), "key", 1 << 30)
    spec = {**AS_SERVED, "prefixes": storage, "near_tie": 1.0, "step_cost": FixedCost()}
    options = {"n_draft": 15, "system_bytes": len(FACTS.encode()), "return_tokens": True}
    before = start_engine(generative, **spec)
    before.answer(FACTS + PROMPTS[0], n_predict=1, **options)
    assert before.engine.save_prefixes(60.0) == 1

    engine = start_engine(generative, **spec)
    if engine.engine.checkpoints.enabled:
        engine.answer(FACTS + "".join(PROMPTS) * 5, n_predict=1, **options)
    facts = bare.tokenize(FACTS)
    bare.start(facts)
    n_ties = 0
    for prompt in PROMPTS:
        answer = engine.answer(FACTS + prompt, n_predict=N_AFTER_FACTS, **options)
        assert answer.done.n_reused >= len(facts) - 4
        start = bare.tokenize(FACTS + prompt)
        pairs = enumerate(zip(facts, start, strict=False))
        n_shared = next((n for n, (one, other) in pairs if one != other), len(facts))
        bare.rewind(n_shared)
        output = (answer.done.tokens or ())[len(start) - len(bare.tokenize("")) :]
        n_ties += not is_greedy(
            bare, bare.advance(start[n_shared:]), output, tie=BATCH_TIE, name=prompt
        )
    assert engine.stats.n_accepted
    assert n_ties <= MAX_TIES
