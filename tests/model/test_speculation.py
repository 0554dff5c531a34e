"""Speculative decoding changes how many tokens a step gives, and nothing else about an answer.

The tiny model repeats nothing, so most tests draft the answer as it is without drafts, with every
fifth token wrong. Steps have a fixed price, so that drafts do not depend on the machine's speed.
"""

from pathlib import Path

import pytest

from runners.protocol.constraints import JSONSchema, Regex
from runners.protocol.messages import Sampling, StopReason
from runners.protocol.tokens import Tokenize
from tests.support.families.builder import write_family
from tests.support.oracle import Oracle
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import (
    GREEDY,
    Answer,
    FixedCost,
    StartEngine,
    SteppedEngine,
    assert_same_choices,
)
from tests.support.tiny_architectures import write_gemma2, write_mamba

N_DRAFT = 8
ENDLESS = Sampling(temperature=0.0, ignore_eos=True)
SCHEMA = '{"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 12}'


@pytest.fixture
def engine(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    return start_engine(weights, step_cost=FixedCost())


def both(
    engine: SteppedEngine, prompt: str, sampling: Sampling = GREEDY, **changes: object
) -> tuple[Answer, Answer]:
    """Return the answer with drafts and the one without."""
    changes.setdefault("logprobs", 2)
    plain = engine.answer(prompt, sampling, return_tokens=True, **changes)
    drafted = engine.answer(
        prompt, sampling, return_tokens=True, lookup=Oracle(plain), n_draft=N_DRAFT, **changes
    )
    assert plain.done.n_drafted == 0
    assert drafted.done.n_drafted > drafted.done.n_accepted > drafted.done.n_eval // 2
    return drafted, plain


def assert_goes_on(engine: SteppedEngine, first: Answer, fresh: SteppedEngine) -> None:
    """A conversation goes on from what is computed as it does where nothing is."""
    assert first.done.tokens is not None
    longer = (1, *first.done.tokens, 5, 6, 7)
    again = engine.answer(longer, n_predict=12, logprobs=2)
    assert again.done.n_reused >= len(first.done.tokens)
    assert_same_choices(again, fresh.answer(longer, n_predict=12, logprobs=2))


def test_greedy_answers_to_twenty_prompts_are_the_same_in_fewer_steps(
    engine: SteppedEngine,
) -> None:
    for seed in range(20):
        before = engine.stats.steps
        drafted, plain = both(engine, prompt_of(10 + seed, seed=seed), n_predict=60)
        assert_same_choices(drafted, plain)
        assert drafted.done.n_eval == plain.done.n_eval
        assert engine.stats.steps - before < 60 + 1 + 60 // 2


def test_random_answers_are_the_same_with_the_same_seed(engine: SteppedEngine) -> None:
    """Each row is drawn from its own distribution with the next number of one random stream."""
    for seed in range(8):
        drafted, plain = both(
            engine, prompt_of(40, seed=seed), Sampling(seed=seed), n_predict=60, logprobs=None
        )
        assert drafted.text == plain.text


def test_penalties_count_accepted_tokens_and_no_rejected_ones(engine: SteppedEngine) -> None:
    for seed in range(6):
        sampling = Sampling(temperature=0.0, repeat_penalty=1.5, repeat_last_n=32)
        drafted, plain = both(engine, prompt_of(40, seed=seed), sampling, n_predict=60)
        assert drafted.text == plain.text


def test_requests_in_one_batch_get_what_they_get_without_drafts(engine: SteppedEngine) -> None:
    prompts = [prompt_of(length, seed=length) for length in (3, 30, 60, 90, 12, 45)]
    plain = [engine.answer(p, n_predict=60, logprobs=2, return_tokens=True) for p in prompts]
    answers = [
        engine.ask(
            prompt, n_predict=60, logprobs=2, n_draft=N_DRAFT * (number % 2), lookup=Oracle(known)
        )
        for number, (prompt, known) in enumerate(zip(prompts, plain, strict=True))
    ]
    engine.run()

    for found, expected in zip(answers, plain, strict=True):
        assert_same_choices(found, expected)
    assert engine.stats.n_accepted == sum(answer.done.n_accepted for answer in answers) > 30
    assert engine.stats.n_drafted == sum(answer.done.n_drafted for answer in answers)


def test_log_probabilities_of_drafted_tokens_are_reported(engine: SteppedEngine) -> None:
    drafted, plain = both(engine, prompt_of(40), n_predict=60, logprobs=3)
    assert len(drafted.logprobs) == 60
    for found, expected in zip(drafted.logprobs, plain.logprobs, strict=True):
        assert found.chosen.text == expected.chosen.text
        assert found.chosen.logprob == pytest.approx(expected.chosen.logprob, abs=0.01)


@pytest.mark.parametrize("n_predict", range(30, 40))
def test_an_answer_ends_at_its_limit_within_a_draft(engine: SteppedEngine, n_predict: int) -> None:
    drafted, plain = both(engine, prompt_of(40), n_predict=n_predict)
    assert drafted.done.n_eval == n_predict
    assert drafted.done.tokens == plain.done.tokens


@pytest.mark.parametrize("start", range(40, 48))
def test_a_stop_string_across_a_draft_ends_the_answer(engine: SteppedEngine, start: int) -> None:
    known = engine.answer(prompt_of(40), n_predict=120, return_tokens=True)
    stop = known.text[start : start + 7]
    plain = engine.answer(prompt_of(40), n_predict=120, stop=(stop,))
    drafted = engine.answer(
        prompt_of(40), n_predict=120, stop=(stop,), n_draft=N_DRAFT, lookup=Oracle(known)
    )
    assert drafted.done.n_accepted
    assert drafted.text == plain.text
    assert (drafted.done.stop, drafted.done.reason) == (stop, StopReason.STOP)
    assert drafted.done.n_eval == plain.done.n_eval


def test_a_conversation_goes_on_from_the_cells_that_drafts_left(
    engine: SteppedEngine, start_engine: StartEngine, weights: Path
) -> None:
    """Rejected tokens are gone from the KV cache, also when the answer ends within a draft."""
    other = start_engine(weights)
    for seed in range(5):
        first, _ = both(engine, prompt_of(40, seed=seed), n_predict=45 + seed)
        assert_goes_on(engine, first, other)


@pytest.mark.parametrize(
    "constraint", [Regex("(ab|cd)( ab| cd){20}"), JSONSchema(SCHEMA)], ids=["regex", "schema"]
)
def test_a_constraint_holds_over_drafts(
    engine: SteppedEngine, constraint: Regex | JSONSchema
) -> None:
    """The matcher advances only by what was sampled; prompt lookup finds the drafts here."""
    plain = engine.answer(prompt_of(30), n_predict=100, constraint=constraint)
    drafted = engine.answer(prompt_of(30), n_predict=100, constraint=constraint, n_draft=N_DRAFT)
    assert drafted.text == plain.text
    assert drafted.done.n_accepted


@pytest.mark.parametrize("shift", [True, False])
def test_drafts_stop_at_the_end_of_the_context(
    start_engine: StartEngine, weights: Path, shift: bool
) -> None:
    engine = start_engine(weights, n_ctx=256, step_cost=FixedCost())
    prompt, changes = prompt_of(100), {"n_predict": 300, "shift": shift}
    plain = engine.answer(prompt, return_tokens=True, n_draft=0, logprobs=2, **changes)
    known = engine.answer(prompt, return_tokens=True, n_predict=150)
    drafted = engine.answer(
        prompt, return_tokens=True, n_draft=N_DRAFT, lookup=Oracle(known), logprobs=2, **changes
    )
    assert drafted.done.n_accepted > 50
    assert (drafted.done.reason, drafted.done.n_eval) == (plain.done.reason, plain.done.n_eval)
    assert_same_choices(drafted, plain)
    assert drafted.done.tokens == plain.done.tokens


def test_preempted_requests_get_the_same_answer(start_engine: StartEngine, weights: Path) -> None:
    engine = start_engine(weights, n_ctx=256, n_cells=256, step_cost=FixedCost())
    prompts = [prompt_of(60, seed=seed) for seed in range(3)]
    plain = [engine.answer(p, n_predict=100, logprobs=2, return_tokens=True) for p in prompts]
    answers = [
        engine.ask(prompt, n_predict=100, logprobs=2, n_draft=N_DRAFT, lookup=Oracle(known))
        for prompt, known in zip(prompts, plain, strict=True)
    ]
    engine.run()
    assert engine.stats.n_preempted
    assert engine.stats.n_accepted > 100
    for found, expected in zip(answers, plain, strict=True):
        assert_same_choices(found, expected)


def test_sliding_windows_are_drafted(start_engine: StartEngine, tmp_path: Path) -> None:
    engine = start_engine(write_gemma2(tmp_path / "window.gguf"), step_cost=FixedCost())
    drafted, plain = both(engine, prompt_of(60), n_predict=150)
    assert_same_choices(drafted, plain)


@pytest.fixture(params=["qwen35", "lfm2", "nemotron_h"])
def recurrent(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model whose recurrent states llama.cpp can roll back."""
    return write_family(tmp_path / "recurrent.gguf", request.param)


@pytest.mark.parametrize("wrong_every", [1, 2, 3])
def test_recurrent_states_are_rolled_back_to_before_rejected_tokens(
    start_engine: StartEngine, recurrent: Path, wrong_every: int
) -> None:
    """Also at the end of an answer, so that a conversation goes on from there."""
    engine, fresh = start_engine(recurrent, step_cost=FixedCost()), start_engine(recurrent)
    for n_predict in (40, 41, 42):
        prompt = prompt_of(60, seed=n_predict)
        changes = {"n_predict": n_predict, "logprobs": 2, "return_tokens": True}
        plain = fresh.answer(prompt, ENDLESS, **changes)
        oracle = Oracle(plain, wrong_every=wrong_every)
        drafted = engine.answer(prompt, ENDLESS, n_draft=N_DRAFT, lookup=oracle, **changes)
        assert_same_choices(drafted, plain)
        assert drafted.done.n_drafted > 20
        assert_goes_on(engine, drafted, fresh)


def test_a_state_that_went_back_is_kept_outside_the_cache(
    start_engine: StartEngine, recurrent: Path
) -> None:
    """What is copied of a slot is the state after its last token, not one of a dropped draft."""
    engine = start_engine(recurrent, step_cost=FixedCost(), prefix_bytes=1 << 24)
    fresh = start_engine(recurrent)
    for n_predict in (40, 41, 42, 43):
        prompt = prompt_of(60, seed=n_predict)
        plain = fresh.answer(prompt, ENDLESS, n_predict=n_predict, return_tokens=True)
        oracle = Oracle(plain, wrong_every=2)
        drafted = engine.answer(
            prompt, ENDLESS, n_draft=N_DRAFT, lookup=oracle, n_predict=n_predict, return_tokens=True
        )
        engine.rest()
        assert engine.stats.n_cells_used == 0
        assert_goes_on(engine, drafted, fresh)


def test_a_recurrent_state_goes_back_to_a_row_that_is_computed_again(
    start_engine: StartEngine, recurrent: Path
) -> None:
    """Where rounding may decide a choice; the first row of a step stays, whatever it chose."""
    engine = start_engine(recurrent, step_cost=FixedCost(), near_tie=100.0)
    plain = engine.answer(prompt_of(60), ENDLESS, n_predict=40, logprobs=2, return_tokens=True)
    drafted = engine.answer(
        prompt_of(60), ENDLESS, n_predict=40, logprobs=2, n_draft=N_DRAFT, lookup=Oracle(plain)
    )
    assert drafted.done.n_drafted
    assert not drafted.done.n_accepted
    assert_same_choices(drafted, plain)


def test_recurrent_states_of_requests_in_one_batch_are_rolled_back_apart(
    start_engine: StartEngine, recurrent: Path
) -> None:
    engine = start_engine(recurrent, step_cost=FixedCost())
    changes = {"n_predict": 40, "logprobs": 2, "return_tokens": True}
    prompts = [prompt_of(length, seed=length) for length in (30, 60, 90)]
    plain = [engine.answer(prompt, ENDLESS, **changes) for prompt in prompts]
    answers = [
        engine.ask(p, ENDLESS, n_draft=N_DRAFT, lookup=Oracle(known, wrong_every=2 + n), **changes)
        for n, (p, known) in enumerate(zip(prompts, plain, strict=True))
    ]
    engine.run()
    for drafted, expected in zip(answers, plain, strict=True):
        assert_same_choices(drafted, expected)
        assert drafted.done.n_accepted > 10


def test_states_that_cannot_be_rolled_back_are_not_drafted(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    engine = start_engine(write_mamba(tmp_path / "recurrent.gguf"), step_cost=FixedCost())
    known = engine.answer(prompt_of(60), n_predict=40, return_tokens=True)
    answer = engine.answer(prompt_of(60), n_predict=40, n_draft=N_DRAFT, lookup=Oracle(known))
    assert answer.done.n_drafted == 0
    assert answer.text == known.text


def test_answers_that_repeat_nothing_are_hardly_drafted(engine: SteppedEngine) -> None:
    random = Sampling(temperature=2.0, top_k=0, top_p=1.0, seed=7)
    answer = engine.answer(prompt_of(40), random, n_predict=150, n_draft=N_DRAFT)
    assert answer.done.n_drafted <= 8


def test_a_prediction_of_the_answer_is_drafted(engine: SteppedEngine) -> None:
    """Also where it differs in the middle."""
    words = prompt_of(40, seed=3)
    tokens = engine.engine.intake.tokenizer.tokens(Tokenize(id=0, text=words)).tokens
    # Words instead of letters, so that the answer has the tokens of its text.
    sampling = Sampling(temperature=0.0, logit_bias=dict.fromkeys(tokens, 100.0))
    constraint = Regex(words)
    plain = engine.answer(prompt_of(30), sampling, n_predict=60, constraint=constraint)
    assert plain.text == words
    changed = words.split()
    changed[20] = "unlike"
    for prediction in (words, " ".join(changed)):
        drafted = engine.answer(
            prompt_of(30), sampling, n_predict=60, constraint=constraint, n_draft=N_DRAFT,
            prediction=prediction,
        )  # fmt: skip
        assert drafted.text == words
        assert drafted.done.n_accepted > drafted.done.n_eval // 2


def test_where_every_choice_is_a_near_tie_the_answer_is_the_same(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, step_cost=FixedCost(), near_tie=1e6)
    plain = engine.answer(prompt_of(40), n_predict=120, return_tokens=True)
    drafted = engine.answer(prompt_of(40), n_predict=120, n_draft=N_DRAFT, lookup=Oracle(plain))
    assert drafted.text == plain.text
    assert drafted.done.n_drafted > drafted.done.n_accepted == 0
    random = Sampling(seed=1)
    plain = engine.answer(prompt_of(40), random, n_predict=60, return_tokens=True)
    drafted = engine.answer(
        prompt_of(40), random, n_predict=60, n_draft=N_DRAFT, lookup=Oracle(plain)
    )
    assert drafted.text == plain.text
    assert drafted.done.n_accepted, "random draws cannot tie"
