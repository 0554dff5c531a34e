"""Conversations with models that cannot go back in their memory compute only what differs.

That is regenerating an answer, an edited question, a thought that the next turn leaves out, and
another conversation with the same system prompt. The answers are those of a model that computes
everything again.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.prompts import prompt_of
from tests.support.stepped_engine import Answer, StartEngine, SteppedEngine, assert_same_choices
from tests.support.tiny_architectures import write_gemma2, write_gpt_oss, write_jamba, write_mamba

WRITERS = {
    "window": write_gemma2,
    "experts": write_gpt_oss,
    "recurrent": write_mamba,
    "hybrid": write_jamba,
}
MARGIN = 140
"""Tokens that may be computed beside those that differ."""

Start = Callable[..., SteppedEngine]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("checkpoints")
    return {kind: write(directory / f"{kind}.gguf") for kind, write in WRITERS.items()}


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(start_engine: StartEngine, models: dict[str, Path], kind: str) -> Start:
    """Starts engines with a model of the kind."""

    def start(**changes: object) -> SteppedEngine:
        sizes = {"n_ctx": 1024, "n_cells": 2048, "n_batch": 128, "n_seq": 2}
        return start_engine(models[kind], **{**sizes, **changes})

    return start


def turn(role: str, content: str) -> str:
    return f"<|im_start|>{role} {content}<|im_end|>"


SYSTEM = turn("system", prompt_of(250))
HISTORY = SYSTEM + "".join(
    turn("user", prompt_of(60, seed=seed)) + turn("assistant", prompt_of(60, seed=100 + seed))
    for seed in range(3)
)
QUESTION = turn("user", prompt_of(10, seed=7))
ANSWER = "<|im_start|>assistant"


def check(start: Start, engine: SteppedEngine, prompt: str, *, differ: int) -> Answer:
    """The prompt is answered as by a fresh engine, and computes little more than what differs."""
    answer = engine.answer(prompt, n_predict=30, logprobs=2)

    assert answer.done.n_prompt - answer.done.n_reused <= differ + MARGIN
    fresh = start(checkpoint_bytes=0)
    assert_same_choices(answer, fresh.answer(prompt, n_predict=30, logprobs=2))
    return answer


def test_answer_is_generated_again(start: Start) -> None:
    engine = start()
    prompt = HISTORY + QUESTION + ANSWER
    engine.answer(prompt, n_predict=300)

    for _ in range(2):
        check(start, engine, prompt, differ=1)


def test_last_question_is_edited(start: Start) -> None:
    engine = start()
    engine.answer(HISTORY + QUESTION + ANSWER, n_predict=300)

    edited = HISTORY + turn("user", prompt_of(12, seed=8)) + ANSWER
    check(start, engine, edited, differ=16)


def test_question_is_edited_after_a_turn_that_went_on_from_an_answer(start: Start) -> None:
    """The end of an answer is kept although the next turn starts from it."""
    engine = start()
    first = HISTORY + QUESTION + ANSWER
    answer = engine.answer(first, n_predict=150, logprobs=2)
    grown = first + b"".join(answer.tokens[:-1]).decode()
    engine.answer(grown + turn("user", prompt_of(60, seed=9)) + ANSWER, n_predict=5)

    check(start, engine, grown + turn("user", "one day") + ANSWER, differ=8)


def test_thought_is_left_out_of_the_next_turn(start: Start) -> None:
    engine = start()
    engine.answer(HISTORY + QUESTION + ANSWER, n_predict=300)

    reply = turn("assistant", prompt_of(20, seed=10)).removeprefix(ANSWER)
    following = HISTORY + QUESTION + ANSWER + reply + turn("user", "one day") + ANSWER
    check(start, engine, following, differ=30)


def test_two_users_have_the_same_system_prompt(start: Start) -> None:
    engine = start()
    engine.answer(HISTORY + QUESTION + ANSWER, n_predict=30)

    check(start, engine, SYSTEM + turn("user", "one day she") + ANSWER, differ=8)


def test_two_users_have_a_system_prompt_that_ends_within_a_turn(start: Start) -> None:
    engine = start()
    system = prompt_of(600)
    changes = {"n_predict": 30, "system_bytes": len(system)}
    engine.answer(f"{system} {prompt_of(200, seed=1)}{ANSWER}", **changes)
    prompt = f"{system} {prompt_of(20, seed=2)}{ANSWER}"

    answer = engine.answer(prompt, logprobs=2, **changes)

    assert 590 <= answer.done.n_reused <= 600
    fresh = start(checkpoint_bytes=0)
    assert_same_choices(answer, fresh.answer(prompt, logprobs=2, **changes))


def test_many_conversations_with_the_same_system_prompt_find_it(start: Start) -> None:
    """Also when the window cells that they share leave too few for another state."""
    engine = start(n_seq=6, n_batch=32)
    for seed in range(4):
        conversation = SYSTEM + turn("user", prompt_of(20 + seed, seed=seed)) + ANSWER
        engine.answer(conversation, n_predict=5)
        engine.answer(conversation, n_predict=5)

    check(start, engine, SYSTEM + turn("user", "one day she") + ANSWER, differ=8)


def test_third_prompt_reuses_what_two_others_have_in_common_without_turns(start: Start) -> None:
    engine = start()
    shared = prompt_of(600)
    engine.answer(f"{shared} {prompt_of(150, seed=1)}", n_predict=5)
    engine.answer(f"{shared} {prompt_of(150, seed=2)}", n_predict=5)

    check(start, engine, f"{shared} {prompt_of(20, seed=3)}", differ=20)


def test_common_beginning_of_prompts_that_arrive_together_is_computed_once(start: Start) -> None:
    engine = start(n_seq=4)
    prompts = [f"{prompt_of(400)} {prompt_of(9, seed=seed)}" for seed in range(4)]

    answers = [engine.ask(prompt, n_predict=20, logprobs=2) for prompt in prompts]
    engine.run()

    assert engine.stats.n_prompt_computed <= 400 + 4 * 9
    fresh = start(checkpoint_bytes=0)
    for found, prompt in zip(answers, prompts, strict=True):
        assert_same_choices(found, fresh.answer(prompt, n_predict=20, logprobs=2))


def test_running_answer_is_not_disturbed_by_one_that_reuses_its_prompt(start: Start) -> None:
    engine, fresh = start(), start(checkpoint_bytes=0)
    prompt = HISTORY + QUESTION + ANSWER
    running = engine.ask(prompt, n_predict=200, logprobs=2)
    engine.run_until(lambda: len(running.logprobs) > 100)

    other = engine.ask(SYSTEM + turn("user", "one day") + ANSWER, n_predict=20)
    engine.run()

    assert other.done.n_reused > 100
    assert_same_choices(running, fresh.answer(prompt, n_predict=200, logprobs=2))


@pytest.mark.parametrize("kind", ["window", "experts"])
def test_windows_are_copied_behind_the_first_token_and_split_no_batch(start: Start) -> None:
    engine = start(n_batch=1024)
    events, checkpoints = engine.engine._events, engine.engine.checkpoints
    kept: list[int] = []
    emit = events._emit
    events._emit = lambda some: (kept.append(len(checkpoints)), emit(some))

    answer = engine.ask(HISTORY + QUESTION + ANSWER, n_predict=10)
    engine.run_until(lambda: bool(answer.chunks))

    assert engine.stats.steps == 1
    assert kept == [0]
    assert len(checkpoints) > 3


@pytest.mark.parametrize("kind", ["window", "experts"])
def test_without_a_free_slot_windows_are_not_copied(start: Start) -> None:
    engine, fresh = start(n_seq=1), start(checkpoint_bytes=0)

    answer = engine.answer(HISTORY + QUESTION + ANSWER, n_predict=30, logprobs=2)

    assert len(engine.engine.checkpoints) == 0
    wanted = fresh.answer(HISTORY + QUESTION + ANSWER, n_predict=30, logprobs=2)
    assert_same_choices(answer, wanted)


def test_copies_stay_within_their_budget_and_the_system_prompt_survives(start: Start) -> None:
    engine = start()
    engine.answer(HISTORY + QUESTION + ANSWER, n_predict=1)
    checkpoints = engine.engine.checkpoints
    budget = checkpoints.n_bytes * 3 // len(checkpoints)
    assert len(checkpoints) > 3
    small = start(checkpoint_bytes=budget)

    small.answer(HISTORY + QUESTION + ANSWER, n_predict=1)

    assert 0 < small.engine.checkpoints.n_bytes <= budget
    check(start, small, SYSTEM + turn("user", "one day") + ANSWER, differ=8)
