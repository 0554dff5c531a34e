"""When the memory is full somebody has to give way, and still everybody gets the right answer."""

import json
from pathlib import Path

import pytest

from runners.protocol.constraints import JSONSchema
from runners.protocol.messages import Sampling, StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices


@pytest.fixture
def narrow(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    """Room for one full context and a half."""
    return start_engine(weights, n_cells=512, n_ctx=512, n_seq=6)


def test_more_than_the_memory_holds_is_answered_in_full(
    start_engine: StartEngine, weights: Path, narrow: SteppedEngine
) -> None:
    fresh = start_engine(weights, n_ctx=512, n_seq=1)
    prompts = [prompt_of(40, seed=seed) for seed in range(6)]

    answers = [narrow.ask(prompt, n_predict=150, logprobs=2) for prompt in prompts]
    narrow.run()

    assert narrow.stats.n_preempted > 0
    for found, prompt in zip(answers, prompts, strict=True):
        assert (found.done.reason, found.done.n_eval) == (StopReason.LENGTH, 150)
        assert_same_choices(found, fresh.answer(prompt, n_predict=150, logprobs=2))


def test_memory_that_nobody_uses_is_given_up_before_anybody_has_to_wait(
    narrow: SteppedEngine,
) -> None:
    narrow.answer(prompt_of(250, seed=7), n_predict=1)
    narrow.answer(prompt_of(200, seed=8), n_predict=1)

    answer = narrow.answer(prompt_of(300), n_predict=150)

    assert answer.done.n_eval == 150
    assert narrow.stats.n_preempted == 0
    assert narrow.stats.n_cells_used <= 512


def test_who_came_first_never_gives_way(narrow: SteppedEngine) -> None:
    first = narrow.ask(prompt_of(40), n_predict=400, logprobs=0)
    narrow.run_until(lambda: first.logprobs != [])
    later = [narrow.ask(prompt_of(40, seed=seed), n_predict=150) for seed in range(1, 6)]
    steps = narrow.stats.steps

    narrow.run_until(lambda: first.end is not None)

    assert narrow.stats.n_preempted > 0
    assert narrow.stats.steps - steps == 399, "a token in every step"
    narrow.run()
    assert [answer.done.n_eval for answer in later] == [150] * 5


def test_random_text_is_the_same_as_without_the_interruption(
    start_engine: StartEngine, weights: Path, narrow: SteppedEngine
) -> None:
    """The seed, the repeated words and what was sent are all remembered meanwhile."""
    drawn = Sampling(temperature=1.0, seed=11, repeat_penalty=1.3, repeat_last_n=-1)
    fresh = start_engine(weights, n_ctx=512, n_seq=1)
    prompts = [prompt_of(40, seed=seed) for seed in range(6)]

    answers = [narrow.ask(prompt, drawn, n_predict=150) for prompt in prompts]
    narrow.run()

    assert narrow.stats.n_preempted > 0
    expected = [fresh.answer(prompt, drawn, n_predict=150).text for prompt in prompts]
    assert [answer.text for answer in answers] == expected


def test_json_is_whole_although_its_writer_was_interrupted(narrow: SteppedEngine) -> None:
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 40, "maxItems": 40}
    constraint = JSONSchema(json.dumps(schema))

    answers = [narrow.ask(prompt_of(40, seed=seed), constraint=constraint) for seed in range(6)]
    narrow.run()

    assert narrow.stats.n_preempted > 0
    assert [len(json.loads(answer.text)) for answer in answers] == [40] * 6


def test_request_that_waits_for_room_starts_as_soon_as_another_forgets_its_older_half(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_cells=512, n_ctx=256, n_seq=3)
    endless = [engine.ask(prompt_of(200, seed=seed), n_predict=2000) for seed in range(2)]
    engine.step(20)
    waiting = engine.ask(prompt_of(30, seed=2), n_predict=5)
    engine.step()
    assert engine.stats.n_waiting == 1

    engine.run_until(lambda: waiting.end is not None)

    assert [answer.end for answer in endless] == [None, None]


def test_cancelled_while_it_waits_for_room(narrow: SteppedEngine) -> None:
    running = narrow.ask(prompt_of(300), n_predict=100)
    narrow.step(10)
    waiting = narrow.ask(prompt_of(300, seed=1), n_predict=5)
    narrow.step()

    narrow.cancel(waiting)

    assert waiting.done.reason is StopReason.CANCELLED
    assert (waiting.done.n_eval, waiting.done.n_prompt) == (0, 300)
    narrow.run()
    assert running.done.reason is StopReason.LENGTH
