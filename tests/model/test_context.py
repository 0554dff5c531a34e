"""What happens to a prompt, and to a generation, that is longer than the context."""

from pathlib import Path

import pytest

from runners.protocol.messages import FailureCode, StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices

N_CTX = 256


# A generation that fills the context.


def test_generation_goes_on_far_beyond_the_context(engine: SteppedEngine) -> None:
    answer = engine.answer(prompt_of(100), n_predict=900, logprobs=0)

    assert (answer.done.reason, answer.done.n_eval) == (StopReason.LENGTH, 900)
    assert len(answer.tokens) == 900
    assert engine.stats.n_cells_used < N_CTX


def test_generation_that_may_not_forget_ends_when_the_context_is_full(
    engine: SteppedEngine,
) -> None:
    answer = engine.answer(prompt_of(100), n_predict=900, shift=False)

    assert answer.done.reason is StopReason.LENGTH
    assert answer.done.n_prompt + answer.done.n_eval == N_CTX


@pytest.mark.parametrize(("n_keep", "n_kept"), [(0, 1), (30, 31), (-1, 100)])
def test_beginning_that_is_to_be_kept_is_never_forgotten(
    engine: SteppedEngine, n_keep: int, n_kept: int
) -> None:
    """BOS stays in any case; what stayed is what the same prompt can reuse later."""
    engine.answer(prompt_of(100), n_predict=600, n_keep=n_keep)

    assert engine.answer(prompt_of(100), n_predict=1).done.n_reused == min(n_kept, 99)


def test_more_to_keep_than_the_context_holds_still_leaves_room_to_go_on(
    engine: SteppedEngine,
) -> None:
    answer = engine.answer(prompt_of(254), n_predict=300, n_keep=1000)

    assert answer.done.n_eval == 300


def test_text_before_the_first_forgetting_is_as_with_a_larger_context(
    start_engine: StartEngine, weights: Path, engine: SteppedEngine
) -> None:
    larger = start_engine(weights, n_ctx=1024)
    wanted = larger.answer(prompt_of(100), n_predict=156, logprobs=2)

    answer = engine.answer(prompt_of(100), n_predict=157, logprobs=2)

    answer.logprobs.pop()
    assert_same_choices(answer, wanted)


@pytest.mark.parametrize("n_keep", [0, 150])
def test_forgetting_leaves_those_alone_who_share_the_beginning(
    start_engine: StartEngine, weights: Path, n_keep: int
) -> None:
    engine, fresh = start_engine(weights), start_engine(weights)
    forgetful = engine.ask(prompt_of(200), n_predict=300, n_keep=n_keep)
    engine.step(20)
    other = engine.ask(prompt_of(200) + " one day", n_predict=50, logprobs=2)
    engine.run()

    assert forgetful.done.n_eval == 300
    assert other.done.n_reused == 200
    wanted = fresh.answer(prompt_of(200) + " one day", n_predict=50, logprobs=2)
    assert_same_choices(other, wanted)
    assert engine.answer(prompt_of(200), n_predict=1).done.n_reused == 199


# A prompt that does not fit.


def test_middle_of_a_prompt_that_is_too_long_is_left_out(engine: SteppedEngine) -> None:
    """With 256 tokens of context and the first 10 to be kept, half of the other 245 stay free."""
    words = prompt_of(400).split()

    cut = engine.answer(" ".join(words), n_keep=10, n_predict=20, logprobs=2)
    short = engine.answer(" ".join(words[:10] + words[-123:]), n_predict=20, logprobs=2)

    assert (cut.done.n_prompt, cut.done.n_truncated) == (134, 266)
    assert (short.done.n_prompt, short.done.n_truncated) == (134, 0)
    assert short.done.n_reused == 133
    assert_same_choices(cut, short)


def test_prompt_that_leaves_room_for_a_token_is_not_cut(engine: SteppedEngine) -> None:
    fits, full = (engine.answer(prompt_of(n), n_predict=1).done for n in (N_CTX - 1, N_CTX))

    assert (fits.n_prompt, fits.n_truncated) == (255, 0)
    assert (full.n_prompt, full.n_truncated) == (131, 125)


@pytest.mark.parametrize(
    ("wanted", "n_limit"),
    [
        ({"truncate": False}, 256),
        ({"truncate": False, "n_ctx": 100}, 256),
        ({"shift": False}, 256),
        ({"shift": False, "n_ctx": 100}, 100),
        ({"shift": False, "truncate": False}, 256),
    ],
)
def test_prompt_that_may_not_be_cut_is_refused_with_what_it_has_and_what_it_may_have(
    engine: SteppedEngine, wanted: dict[str, object], n_limit: int
) -> None:
    """Who forbids cutting is held to the context that llama.cpp gives: multiples of 256."""
    other = engine.ask(prompt_of(9), n_predict=5)

    refused = engine.ask(prompt_of(300), **wanted).failed

    assert refused.code is FailureCode.PROMPT_TOO_LONG
    assert (refused.n_tokens, refused.n_ctx) == (300, n_limit)
    engine.run()
    assert other.done.n_eval == 5


def test_request_may_want_less_context_than_the_model_was_loaded_with(
    engine: SteppedEngine,
) -> None:
    answer = engine.answer(prompt_of(200), n_ctx=64, n_predict=5)

    assert (answer.done.n_prompt, answer.done.n_truncated) == (35, 165)


def test_request_cannot_have_more_context_than_the_model_was_loaded_with(
    engine: SteppedEngine,
) -> None:
    answer = engine.answer(prompt_of(100), n_ctx=100_000, n_predict=None, shift=False)

    assert answer.done.n_prompt + answer.done.n_eval == N_CTX


# How many tokens are generated.


@pytest.mark.parametrize(
    ("n_predict", "n_eval"), [(1, 1), (7, 7), (None, 640), (0, 0), (100_000, 640)]
)
def test_generation_ends_after_as_many_tokens_as_wanted_or_ten_contexts(
    engine: SteppedEngine, n_predict: int | None, n_eval: int
) -> None:
    answer = engine.answer(prompt_of(9), n_ctx=64, n_predict=n_predict)

    assert (answer.done.reason, answer.done.n_eval) == (StopReason.LENGTH, n_eval)
    assert engine.stats.n_generated == n_eval


def test_empty_prompt_is_answered(engine: SteppedEngine) -> None:
    answer = engine.answer("", n_predict=3)

    assert (answer.done.n_prompt, answer.done.n_eval) == (1, 3)
