"""Requests share every step, and none can tell that it is not alone."""

import math
from pathlib import Path

import pytest

from runners.protocol.load_spec import FlashAttention
from runners.protocol.logprobs import TokenLogprob
from runners.protocol.messages import (
    StopReason,
)
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices

LENGTHS = (2, 9, 33, 70, 140, 20, 5, 64)


def test_each_of_many_greedy_requests_gets_what_it_would_get_alone(
    start_engine: StartEngine, weights: Path
) -> None:
    lone, shared = start_engine(weights, n_seq=1), start_engine(weights)
    prompts = [prompt_of(length, seed=length) for length in LENGTHS]
    alone = [lone.answer(prompt, n_predict=60, logprobs=2) for prompt in prompts]

    together = [shared.ask(prompt, n_predict=60, logprobs=2) for prompt in prompts]
    shared.run()

    for found, wanted in zip(together, alone, strict=True):
        assert_same_choices(found, wanted)
    assert shared.stats.steps < lone.stats.steps // 4


def _probabilities(entry: TokenLogprob) -> dict[bytes, float]:
    return {token.text: math.exp(token.logprob) for token in entry.top}


@pytest.mark.parametrize("fused", list(FlashAttention))
@pytest.mark.parametrize("n_batch", [1, 7, 64])
def test_prompt_that_is_computed_in_pieces_gives_what_it_gives_in_one(
    start_engine: StartEngine, weights: Path, n_batch: int, fused: FlashAttention
) -> None:
    settings = {"n_seq": 1, "flash_attention": fused}
    whole = start_engine(weights, n_batch=256, **settings)
    expected = whole.answer(prompt_of(200), n_predict=1, logprobs=5)

    pieces = start_engine(weights, n_batch=n_batch, **settings)
    answer = pieces.answer(prompt_of(200), n_predict=1, logprobs=5)

    assert whole.stats.steps == 1
    assert pieces.stats.steps == -(-200 // n_batch)
    [wanted], [found] = expected.logprobs, answer.logprobs
    # The fused kernel is less exact, and with rounding of its own for every number of rows.
    assert _probabilities(found) == pytest.approx(_probabilities(wanted), abs=0.01)
    assert found.chosen == found.top[0]


def test_more_requests_than_slots_wait_their_turn_and_all_finish(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_seq=2)
    alone = [engine.answer(prompt_of(n), n_predict=12, logprobs=2) for n in range(5, 14)]

    answers = [engine.ask(prompt_of(n), n_predict=12, logprobs=2) for n in range(5, 14)]
    engine.step()
    assert (engine.stats.n_running, engine.stats.n_waiting) == (2, 7)
    engine.run()

    for found, wanted in zip(answers, alone, strict=True):
        assert_same_choices(found, wanted)
    assert {answer.done.reason for answer in answers} == {StopReason.LENGTH}
    assert (engine.stats.n_running, engine.stats.n_waiting) == (0, 0)


def test_running_streams_get_a_token_in_every_step_while_a_long_prompt_is_computed(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_ctx=512, n_batch=8)
    streams = [engine.ask(prompt_of(4, seed=n), n_predict=200, logprobs=0) for n in range(3)]
    engine.run_until(lambda: all(stream.logprobs for stream in streams))
    seen = [len(stream.logprobs) for stream in streams]

    late = engine.ask(prompt_of(300), n_predict=1)
    steps = 0
    while late.end is None:
        engine.step()
        steps += 1
        assert [len(stream.logprobs) for stream in streams] == [n + steps for n in seen]

    assert steps > 300 // 8


def test_short_prompt_is_answered_before_a_long_one_that_came_first(engine: SteppedEngine) -> None:
    long = engine.ask(prompt_of(250), n_predict=1)
    engine.step()
    short = engine.ask(prompt_of(10, seed=1), n_predict=1)

    engine.run_until(lambda: short.end is not None)

    assert long.end is None
    engine.run()
    assert long.done.reason is StopReason.LENGTH


def test_long_prompt_is_finished_although_short_ones_keep_coming(engine: SteppedEngine) -> None:
    """At least half of the rows of every step are its own."""
    long = engine.ask(prompt_of(250), n_predict=1)
    for step in range(12):
        for number in range(7):
            engine.ask(prompt_of(40, seed=10 * step + number), n_predict=1)
        engine.step()

    assert long.end is not None
    assert engine.stats.n_waiting > 12
