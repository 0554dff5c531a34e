"""Log probabilities tell what the model thought of each token, whatever was then drawn."""

import json
import math

import pytest

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Sampling
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import GREEDY, SteppedEngine

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
