"""Log probabilities tell what the model thought of each token, whatever was then drawn."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Sampling
from tests.support.bare_llama import BareLlama, logprobs
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import GREEDY, Answer, StartEngine, SteppedEngine
from tests.support.tiny_models import EOS, write_llama

PROMPT = prompt_of(20)
SAMPLINGS = [
    GREEDY,
    Sampling(temperature=2.0, seed=3),
    Sampling(temperature=0.0, repeat_penalty=1.5, repeat_last_n=-1),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "random", "penalised"])
def test_every_token_has_one_entry_with_its_alternatives_best_first(
    engine: SteppedEngine, sampling: Sampling
) -> None:
    answer = engine.answer(PROMPT, sampling, n_predict=30, logprobs=5)

    assert len(answer.logprobs) == 30
    assert answer.text.encode() == b"".join(answer.tokens)
    for entry in answer.logprobs:
        values = [token.logprob for token in entry.top]
        assert values == sorted(values, reverse=True)
        assert entry.chosen.logprob <= values[0] <= 0
        assert entry.chosen in entry.top or entry.chosen.logprob <= values[-1]


def test_best_token_is_the_one_that_greedy_output_takes(engine: SteppedEngine) -> None:
    answer = engine.answer(PROMPT, n_predict=30, logprobs=1)

    assert [entry.top for entry in answer.logprobs] == [(e.chosen,) for e in answer.logprobs]


def test_probabilities_of_the_whole_vocabulary_add_up_to_one(engine: SteppedEngine) -> None:
    n_vocab = engine.engine.ready.n_vocab
    answer = engine.answer(PROMPT, n_predict=3, logprobs=n_vocab + 1000)

    for entry in answer.logprobs:
        assert len(entry.top) == n_vocab
        assert math.fsum(math.exp(token.logprob) for token in entry.top) == pytest.approx(1, 1e-4)


def test_values_do_not_depend_on_how_the_token_was_drawn(engine: SteppedEngine) -> None:
    first = [
        engine.answer(PROMPT, sampling, n_predict=1, logprobs=5).logprobs[0]
        for sampling in SAMPLINGS
    ]

    assert len({entry.top[0].text for entry in first}) == 1
    for entry in first:
        assert [t.logprob for t in entry.top] == pytest.approx(
            [t.logprob for t in first[0].top], abs=1e-3
        )


def test_zero_alternatives_are_none_and_no_wish_is_no_entries(engine: SteppedEngine) -> None:
    assert [e.top for e in engine.answer(PROMPT, n_predict=3, logprobs=0).logprobs] == [()] * 3
    assert engine.answer(PROMPT, n_predict=3).logprobs == []


def test_token_that_a_constraint_forced_has_the_probability_it_had_without(
    engine: SteppedEngine,
) -> None:
    free = engine.answer(PROMPT, n_predict=1, logprobs=engine.engine.ready.n_vocab).logprobs[0]
    constraint = JSONSchema(json.dumps({"const": "dog"}))

    forced = engine.answer(PROMPT, constraint=constraint, logprobs=1).logprobs[0]

    assert forced.chosen.text.startswith(b'"')
    assert forced.top[0].text == free.top[0].text != forced.chosen.text
    # A character may be a token of its own and one of the bytes.
    before = [token.logprob for token in free.top if token.text == forced.chosen.text]
    assert any(forced.chosen.logprob == pytest.approx(value, abs=1e-3) for value in before)


def test_tokens_whose_text_is_held_back_have_their_entries_at_once(engine: SteppedEngine) -> None:
    free = engine.answer(PROMPT, n_predict=12)
    stop = free.text + "never"

    held = engine.ask(PROMPT, n_predict=12, stop=(stop,), logprobs=0)
    engine.run_until(lambda: len(held.logprobs) == 6)

    assert held.text == ""
    engine.run()
    assert held.text == free.text
    assert len(held.logprobs) == 12


@pytest.fixture(scope="module")
def bare(weights: Path) -> Iterator[BareLlama]:
    bare = BareLlama(weights, exact=True)
    yield bare
    bare.close()


def assert_scores_of(bare: BareLlama, answer: Answer, tokens: tuple[int, ...], n_top: int) -> None:
    """Each token of the prompt has the probability that llama.cpp computes, one at a time."""
    first, *rest = answer.prompt_logprobs
    assert math.isnan(first.chosen.logprob)
    assert not first.top
    assert len(rest) == len(tokens) - 1
    values = logprobs(bare.start(tokens[:1]))
    for entry, token in zip(rest, tokens[1:], strict=True):
        assert entry.chosen.logprob == pytest.approx(values[token], abs=TOLERANCE)
        best = np.sort(values)[::-1][:n_top]
        assert [each.logprob for each in entry.top] == pytest.approx(best.tolist(), abs=TOLERANCE)
        values = logprobs(bare.advance([token]))


TOLERANCE = 1e-4
SCORED = {"logprobs": 2, "prompt_logprobs": True, "truncate": False}


@pytest.mark.parametrize("n_predict", [0, 1, 3])
@pytest.mark.parametrize("n_tokens", [1, 2, 20, 31, 32, 33, 34, 200])
def test_a_prompt_is_scored_as_by_the_bare_loop(
    engine: SteppedEngine, bare: BareLlama, n_tokens: int, n_predict: int
) -> None:
    """Whether its rows fit one step or not."""
    tokens = tuple(bare.tokenize(prompt_of(n_tokens)))[:n_tokens]

    answer = engine.answer(tokens, n_predict=n_predict, **SCORED)

    assert_scores_of(bare, answer, tokens, 2)
    assert len(answer.logprobs) == answer.done.n_eval == n_predict


def test_prompts_that_are_scored_together_or_again_have_the_same_scores(
    engine: SteppedEngine, bare: BareLlama
) -> None:
    """Choices of one question share its beginning, and nothing of it is cached for them."""
    question = tuple(bare.tokenize(prompt_of(50)))
    choices = [question + tuple(bare.tokenize(prompt_of(9, seed=i)))[1:] for i in range(6)]
    others = [engine.ask(prompt_of(30, seed=9), n_predict=60) for _ in range(2)]

    for _ in range(2):
        answers = [engine.ask(tokens, n_predict=1, **SCORED) for tokens in choices]
        engine.run()
        for answer, tokens in zip(answers, choices, strict=True):
            assert_scores_of(bare, answer, tokens, 2)
            assert answer.done.n_reused == 0
    assert all(other.done.n_eval == 60 for other in others)


def test_a_prompt_that_loses_its_slot_is_scored_once(
    start_engine: StartEngine, weights: Path, bare: BareLlama
) -> None:
    engine = start_engine(weights, n_ctx=256, n_cells=256)
    older = engine.ask(prompt_of(20), n_predict=230)
    engine.run_until(lambda: len(older.chunks) > 2)
    tokens = tuple(bare.tokenize(prompt_of(100, seed=5)))

    answer = engine.ask(tokens, n_predict=120, **SCORED)
    engine.run()

    assert answer.done.n_preempted
    assert_scores_of(bare, answer, tokens, 2)
    assert len(answer.logprobs) == 120


def test_the_token_that_ends_a_scored_text_has_an_entry(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    """lm-evaluation-harness drops the last entry, which it takes for that of the drawn token."""
    engine = start_engine(write_llama(tmp_path / "ends.gguf"))

    answer = engine.answer(
        PROMPT, Sampling(temperature=0.0, logit_bias={EOS: 100.0}), n_predict=1, **SCORED
    )

    assert (answer.text, len(answer.logprobs)) == ("", 1)


def test_other_requests_get_no_scores_of_their_prompts(engine: SteppedEngine) -> None:
    assert not engine.answer(PROMPT, n_predict=2, logprobs=2).prompt_logprobs
    assert not engine.answer(PROMPT, n_predict=2, prompt_logprobs=True).prompt_logprobs
