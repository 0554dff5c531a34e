"""Deterministic answers are the same whoever else is there, to the last bit of their logits."""

import random
from pathlib import Path

import pytest

from runners.protocol.load_spec import CacheType, FlashAttention
from runners.protocol.messages import FailureCode, Sampling, StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import GREEDY, Answer, StartEngine, SteppedEngine

USUAL = {"cache_type": CacheType.F16, "flash_attention": FlashAttention.AUTO, "n_threads": 1}
"""What rounds otherwise in each batch."""
N_PROMPTS = 5
SEEDED = Sampling(temperature=1.0, seed=7)


@pytest.fixture
def mixed(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    return start_engine(weights, n_ctx=512, n_cells=2048, n_seq=8, n_batch=64, **USUAL)


def ask(engine: SteppedEngine, number: int, **changes: object) -> Answer:
    """Submit one of the prompts; they begin alike, and each has several pieces."""
    sampling = SEEDED if number % 2 else GREEDY
    prompt = prompt_of(100) + prompt_of(50 + number, seed=number)
    return engine.ask(prompt, sampling, n_predict=8, logprobs=1, **changes)


def outcome(answer: Answer) -> list[tuple[bytes, float]]:
    return [(entry.chosen.text, entry.chosen.logprob) for entry in answer.logprobs]


def mixed_load(engine: SteppedEngine, *, is_deterministic: bool) -> list[set[tuple[object, ...]]]:
    """Ask 200 times among others that come, end and leave; return the outcomes of each prompt."""
    rng = random.Random(0)
    answers: list[list[Answer]] = [[] for _ in range(N_PROMPTS)]
    others: list[Answer] = []
    for n in range(200):
        answers[n % N_PROMPTS].append(ask(engine, n % N_PROMPTS, is_deterministic=is_deterministic))
        if rng.random() < 0.5:
            n_tokens = rng.randrange(1, 200)
            others.append(engine.ask(prompt_of(n_tokens, seed=rng.randrange(9)), n_predict=20))
        if others and rng.random() < 0.2:
            engine.cancel(others.pop(rng.randrange(len(others))))
        engine.step(rng.randrange(6))
    engine.run()
    return [{tuple(outcome(answer)) for answer in same} for same in answers]


def test_equal_requests_are_answered_alike_in_a_mixed_load(mixed: SteppedEngine) -> None:
    outcomes = mixed_load(mixed, is_deterministic=True)

    assert [len(same) for same in outcomes] == [1] * N_PROMPTS
    alone = mixed.answer(prompt_of(100) + prompt_of(50), n_predict=8, is_deterministic=True)
    assert alone.done.n_reused == 0


def test_without_the_option_they_are_not(mixed: SteppedEngine) -> None:
    """Else the test above shows nothing."""
    assert max(map(len, mixed_load(mixed, is_deterministic=False))) > 1


def test_another_start_of_the_model_answers_alike(start_engine: StartEngine, weights: Path) -> None:
    first, second = (start_engine(weights, n_ctx=512, **USUAL) for _ in range(2))
    one, other = (ask(engine, 1, is_deterministic=True) for engine in (first, second))
    first.run()
    second.run()

    assert outcome(one) == outcome(other)


@pytest.mark.parametrize("cache_type", [CacheType.F16, CacheType.F32])
def test_the_number_of_threads_changes_nothing(
    start_engine: StartEngine, weights: Path, cache_type: CacheType
) -> None:
    """Also while it is tuned (0), and with so many cells that fused attention would share them."""
    changes = {**USUAL, "n_ctx": 1024, "n_cells": 1024, "cache_type": cache_type}
    outcomes = []
    for n_threads in (1, 2, 0):
        engine = start_engine(weights, **{**changes, "n_threads": n_threads})
        prompt = prompt_of(600)
        answer = engine.answer(prompt, n_predict=24, logprobs=1, is_deterministic=True)
        outcomes.append(outcome(answer))

    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_one_that_is_cancelled_makes_room_for_the_next(mixed: SteppedEngine) -> None:
    left, waiting, last = (ask(mixed, number, is_deterministic=True) for number in range(3))
    mixed.run_until(lambda: len(left.chunks) > 1)

    mixed.cancel(waiting)
    mixed.cancel(left)

    assert {left.done.reason, waiting.done.reason} == {StopReason.CANCELLED}
    mixed.run()
    assert last.done.n_eval == 8


def test_a_background_request_gives_way_and_is_to_be_sent_again(mixed: SteppedEngine) -> None:
    held = ask(mixed, 0, is_deterministic=True, is_background=True)
    mixed.run_until(lambda: bool(held.chunks))
    mixed.engine.hold(is_held=True)
    assert not mixed.engine.busy

    other = ask(mixed, 2, is_deterministic=True)
    mixed.run()

    assert other.done.n_eval == 8
    assert held.failed.code is FailureCode.PREEMPTED


def test_a_held_background_request_goes_on_when_nobody_took_its_place(
    mixed: SteppedEngine,
) -> None:
    held = ask(mixed, 0, is_deterministic=True, is_background=True)
    mixed.run_until(lambda: bool(held.chunks))
    mixed.engine.hold(is_held=True)
    ask(mixed, 0)
    mixed.run()
    mixed.engine.hold(is_held=False)
    mixed.run()
    undisturbed = ask(mixed, 0, is_deterministic=True)
    mixed.run()

    assert outcome(held) == outcome(undisturbed)
