"""A draft model changes how many tokens a step gives, and nothing else about an answer."""

from pathlib import Path

import pytest

from runners.engine.native.llama import LoadError
from runners.protocol.messages import Sampling
from runners.protocol.placement import DraftFile
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import (
    Answer,
    FixedCost,
    StartEngine,
    SteppedEngine,
    assert_same_choices,
)
from tests.support.tiny_architectures import write_gemma2, write_mamba
from tests.support.tiny_models import write_bert, write_llama

N_DRAFT = 8
RANDOM = Sampling(temperature=1.5, top_k=0, top_p=1.0, seed=3)


@pytest.fixture
def engine(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    """A model that drafts for itself: it is never wrong about a greedy choice."""
    return start_engine(weights, draft=DraftFile(str(weights)), step_cost=FixedCost())


def both(engine: SteppedEngine, seed: int, **changes: object) -> tuple[Answer, Answer]:
    """Return the greedy answer with drafts and the one without."""
    prompt = prompt_of(20 + seed, seed=seed)
    changes = {"n_predict": 60, "logprobs": 2, **changes}
    plain = engine.answer(prompt, n_draft=0, **changes)
    return engine.answer(prompt, n_draft=N_DRAFT, **changes), plain


def test_greedy_answers_are_the_same_in_fewer_steps(engine: SteppedEngine) -> None:
    for seed in range(10):
        steps = engine.stats.steps
        drafted, plain = both(engine, seed)
        assert plain.done.n_drafted == 0
        assert_same_choices(drafted, plain)
        assert drafted.done.n_accepted > 25
        assert engine.stats.steps - steps < 61 + 35


def test_random_answers_are_the_same_with_the_same_seed(engine: SteppedEngine) -> None:
    for seed in range(5):
        sampling = Sampling(seed=seed, temperature=0.3)
        plain = engine.answer(prompt_of(30, seed=seed), sampling, n_predict=60)
        drafted = engine.answer(prompt_of(30, seed=seed), sampling, n_predict=60, n_draft=N_DRAFT)
        assert drafted.text == plain.text
        assert drafted.done.n_drafted


def test_several_requests_are_drafted_in_the_same_steps(engine: SteppedEngine) -> None:
    prompts = [prompt_of(length, seed=length) for length in (3, 30, 60, 90)]
    plain = [engine.answer(prompt, n_predict=60, logprobs=2) for prompt in prompts]
    answers = [engine.ask(p, n_predict=60, logprobs=2, n_draft=N_DRAFT) for p in prompts]
    engine.run()
    for drafted, expected in zip(answers, plain, strict=True):
        assert_same_choices(drafted, expected)
        assert drafted.done.n_accepted > 20


def test_a_conversation_goes_on_from_what_the_draft_model_has_computed(
    engine: SteppedEngine,
) -> None:
    """Also after other requests had the slots, and a context shift cut the middle out."""
    first = engine.answer(prompt_of(60), n_predict=40, n_draft=N_DRAFT, return_tokens=True)
    assert first.done.tokens is not None
    longer = (1, *first.done.tokens, 5, 6, 7)
    plain = engine.answer(longer, n_predict=40, logprobs=2)
    again = engine.answer(longer, n_predict=40, logprobs=2, n_draft=N_DRAFT)
    assert_same_choices(again, plain)
    assert again.done.n_accepted > 10
    long = engine.answer(prompt_of(100), n_predict=600, n_draft=N_DRAFT)
    assert long.done.n_eval == 600


def test_a_model_that_is_always_wrong_soon_drafts_nothing(
    start_engine: StartEngine, weights: Path, tmp_path: Path
) -> None:
    other = write_llama(tmp_path / "other.gguf", seed=99)
    engine = start_engine(weights, draft=DraftFile(str(other)), step_cost=FixedCost())
    drafted, plain = both(engine, 1, n_predict=300)
    assert_same_choices(drafted, plain)
    assert drafted.done.n_drafted < 40


def test_sliding_windows_draft_beyond_their_window(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    model = write_gemma2(tmp_path / "window.gguf")
    engine = start_engine(model, draft=DraftFile(str(model)), step_cost=FixedCost())
    drafted, plain = both(engine, 2, n_predict=150)
    assert_same_choices(drafted, plain)
    assert drafted.done.n_accepted > 50


def test_the_drafts_of_a_model_end_with_the_cache(start_engine: StartEngine, weights: Path) -> None:
    engine = start_engine(
        weights, n_ctx=256, n_cells=256, draft=DraftFile(str(weights)), step_cost=FixedCost()
    )
    prompts = [prompt_of(60, seed=seed) for seed in range(3)]
    plain = [engine.answer(p, n_predict=100, logprobs=2) for p in prompts]
    answers = [engine.ask(p, n_predict=100, logprobs=2, n_draft=N_DRAFT) for p in prompts]
    engine.run()
    for drafted, expected in zip(answers, plain, strict=True):
        assert_same_choices(drafted, expected)


@pytest.mark.parametrize("kind", ["vocabulary", "embedder", "recurrent", "absent"])
def test_what_cannot_draft_is_refused_for_a_new_model_and_left_out_of_a_pulled_one(
    start_engine: StartEngine, weights: Path, tmp_path: Path, kind: str
) -> None:
    draft = tmp_path / "draft.gguf"
    if kind == "vocabulary":
        write_llama(draft, vocab="words")
    elif kind != "absent":
        {"embedder": write_bert, "recurrent": write_mamba}[kind](draft)
    with pytest.raises(LoadError, match="draft model cannot be used"):
        start_engine(weights, draft=DraftFile(str(draft)), no_weights=True)
    engine = start_engine(weights, draft=DraftFile(str(draft)))
    answer = engine.answer(prompt_of(30), n_predict=20, n_draft=N_DRAFT)
    assert answer.done.n_eval == 20
