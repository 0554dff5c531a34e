"""What was computed once is not computed again, and nobody sees the difference in the text."""

from pathlib import Path

from runners.protocol.messages import Sampling
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine, assert_same_choices

SYSTEM = prompt_of(120)


def n_computed(engine: SteppedEngine) -> int:
    return engine.stats.n_prompt_computed


def test_prompt_that_was_seen_before_computes_one_token(engine: SteppedEngine) -> None:
    first = engine.answer(SYSTEM, n_predict=40, logprobs=2)
    before = engine.stats

    second = engine.answer(SYSTEM, n_predict=40, logprobs=2)

    assert_same_choices(second, first)
    assert (first.done.n_prompt, first.done.n_reused) == (120, 0)
    assert (second.done.n_prompt, second.done.n_reused) == (120, 119)
    assert n_computed(engine) - before.n_prompt_computed == 1
    assert engine.stats.n_prompt_reused - before.n_prompt_reused == 119


def test_prompts_with_a_common_beginning_share_it_when_the_first_has_ended(
    start_engine: StartEngine, weights: Path
) -> None:
    engine, fresh = start_engine(weights), start_engine(weights)
    engine.answer(SYSTEM + " one day", n_predict=30)

    answer = engine.answer(SYSTEM + " once upon", n_predict=30, logprobs=2)

    assert answer.done.n_reused == 120
    wanted = fresh.answer(SYSTEM + " once upon", n_predict=30, logprobs=2)
    assert_same_choices(answer, wanted)


def test_prompts_with_a_common_beginning_share_it_while_the_first_still_runs(
    start_engine: StartEngine, weights: Path
) -> None:
    engine, fresh = start_engine(weights), start_engine(weights)
    running = engine.ask(SYSTEM + " one day", n_predict=100, logprobs=2)
    engine.run_until(lambda: len(running.logprobs) > 10)
    cells = engine.stats.n_cells_used

    answer = engine.ask(SYSTEM + " once upon", n_predict=30, logprobs=2)
    engine.step()

    assert engine.stats.n_cells_used == cells + 3, "its own two tokens, and one of the other"
    engine.run()
    assert answer.done.n_reused == 120
    for found, prompt in ((answer, SYSTEM + " once upon"), (running, SYSTEM + " one day")):
        n_predict = found.done.n_eval
        assert_same_choices(found, fresh.answer(prompt, n_predict=n_predict, logprobs=2))


def test_common_beginning_of_prompts_that_arrive_together_is_computed_once(
    start_engine: StartEngine, weights: Path
) -> None:
    engine, fresh = start_engine(weights), start_engine(weights, n_seq=1)
    prompts = [f"{SYSTEM} {prompt_of(9, seed=seed)}" for seed in range(8)]

    answers = [engine.ask(prompt, n_predict=20, logprobs=2) for prompt in prompts]
    engine.run()

    assert n_computed(engine) == 120 + 8 * 8
    for found, prompt in zip(answers, prompts, strict=True):
        assert_same_choices(found, fresh.answer(prompt, n_predict=20, logprobs=2))


def test_request_that_shares_nothing_overtakes_those_that_wait_for_a_common_beginning(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_batch=16)
    engine.ask(SYSTEM + " one", n_predict=1)
    engine.step()
    engine.ask(SYSTEM + " two", n_predict=1)

    other = engine.ask(prompt_of(3, seed=5), n_predict=1)
    engine.step()

    assert other.end is not None
    assert engine.stats.n_waiting == 1


def test_next_turn_of_a_conversation_computes_only_what_is_new(engine: SteppedEngine) -> None:
    first = engine.answer(SYSTEM, n_predict=1)
    n_answer = 1

    second = engine.answer(SYSTEM + first.text + " she said", n_predict=1)

    assert second.done.n_prompt == 120 + n_answer + 2
    assert second.done.n_reused >= 120
    assert n_computed(engine) == 120 + second.done.n_prompt - second.done.n_reused


def test_conversations_that_take_turns_keep_their_own_memory(engine: SteppedEngine) -> None:
    """The common beginning is copied, not taken away from the one who has it."""
    prompts = [f"{SYSTEM} {prompt_of(40, seed=seed)}" for seed in range(3)]
    for prompt in prompts:
        engine.answer(prompt, n_predict=5)
    before = n_computed(engine)

    for prompt in prompts:
        engine.answer(prompt, n_predict=5)

    assert n_computed(engine) - before == len(prompts)


def test_memory_that_was_unused_for_longest_is_dropped_first(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_cells=512)
    oldest, used_again, latest, new = (prompt_of(150, seed=seed) for seed in range(4))
    for prompt in (oldest, used_again, latest, used_again):
        engine.answer(prompt, n_predict=1)

    engine.answer(new, n_predict=1)

    assert engine.stats.n_preempted == 0
    assert engine.answer(used_again, n_predict=1).done.n_reused == 149
    assert engine.answer(latest, n_predict=1).done.n_reused == 149
    assert engine.answer(oldest, n_predict=1).done.n_reused <= 1, "no more than BOS"


def test_memory_was_used_until_its_request_ended(start_engine: StartEngine, weights: Path) -> None:
    engine = start_engine(weights, n_cells=512)
    long, short = prompt_of(100, seed=1), prompt_of(150, seed=2)
    answers = [engine.ask(long, n_predict=60), engine.ask(short, n_predict=1)]
    engine.run()
    assert all(answer.end for answer in answers)

    engine.answer(prompt_of(250, seed=3), n_predict=1)

    assert engine.answer(long, n_predict=1).done.n_reused == 99
    assert engine.answer(short, n_predict=1).done.n_reused <= 1, "no more than BOS"


def test_memory_that_a_prompt_shares_is_not_what_makes_room_for_it(
    start_engine: StartEngine, weights: Path
) -> None:
    """Neither is what lies behind the common beginning, as it is longer."""
    engine = start_engine(weights, n_seq=2)
    long = f"{prompt_of(60)} {prompt_of(150, seed=1)}"
    engine.answer(long, n_predict=1)
    engine.answer(prompt_of(50, seed=2), n_predict=1)

    assert engine.answer(prompt_of(60) + " one day", n_predict=1).done.n_reused == 60
    assert engine.answer(long, n_predict=1).done.n_reused == 208


def test_reused_tokens_count_as_repeated_too(start_engine: StartEngine, weights: Path) -> None:
    penalised = Sampling(temperature=0.0, repeat_penalty=1.8, repeat_last_n=-1)
    engine, fresh = start_engine(weights), start_engine(weights)
    engine.answer(SYSTEM, n_predict=30)

    answer = engine.answer(SYSTEM, penalised, n_predict=30, logprobs=2)

    assert answer.done.n_reused == 119
    assert answer.text == fresh.answer(SYSTEM, penalised, n_predict=30).text


def test_cancelled_prompt_leaves_what_it_had_computed(
    start_engine: StartEngine, weights: Path
) -> None:
    engine = start_engine(weights, n_batch=16)
    left = engine.ask(SYSTEM, n_predict=1)
    engine.step(3)
    engine.cancel(left)

    assert engine.answer(SYSTEM, n_predict=1).done.n_reused == 48
