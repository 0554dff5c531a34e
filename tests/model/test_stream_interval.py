"""Tokens that are gathered for one message: what ends the wait, and that nothing is lost.

The interval is an hour, so that nothing here depends on how long a step takes.
"""

from pathlib import Path

import pytest

from runners.protocol.messages import StopReason
from tests.support.prompts import prompt_of
from tests.support.seeing import Files, look, seeing
from tests.support.stepped_engine import Answer, StartEngine, SteppedEngine
from tests.support.tiny_vision import picture

HOUR_NS = 3600 * 10**9


@pytest.fixture
def engine(start_engine: StartEngine, weights: Path) -> SteppedEngine:
    return start_engine(weights, stream_interval_ns=HOUR_NS)


def stream(engine: SteppedEngine, seed: int = 0, **changes: object) -> Answer:
    """Return a stream of which the first token was sent, and two more were not."""
    answer = engine.ask(prompt_of(9, seed=seed), n_predict=40, **changes)
    engine.run_until(lambda: bool(answer.chunks))
    engine.step(2)
    assert len(answer.chunks) == 1
    return answer


def test_text_counts_and_log_probabilities_are_those_of_single_tokens(
    engine: SteppedEngine, start_engine: StartEngine, weights: Path
) -> None:
    single = start_engine(weights).answer(prompt_of(9), n_predict=40, logprobs=2)

    gathered = engine.answer(prompt_of(9), n_predict=40, logprobs=2)

    assert gathered.text == single.text
    assert gathered.tokens == single.tokens
    assert gathered.done.n_eval == len(gathered.logprobs) == 40


def test_a_stop_string_ends_the_answer_at_once(engine: SteppedEngine) -> None:
    text = engine.answer(prompt_of(9), n_predict=40).text

    stopped = engine.ask(prompt_of(9), n_predict=40, stop=(text[20:24],))
    engine.run()

    assert stopped.done.stop == text[20:24]
    assert stopped.text == text[: text.index(text[20:24])]


def test_a_cancelled_stream_ends_with_all_that_was_computed(engine: SteppedEngine) -> None:
    answer = stream(engine)

    engine.cancel(answer)

    assert (answer.done.reason, answer.done.n_eval) == (StopReason.CANCELLED, 3)
    assert len(answer.chunks) == 3


def test_a_stream_has_its_tokens_before_the_prompt_of_another_is_computed(
    engine: SteppedEngine,
) -> None:
    answer = stream(engine)

    engine.ask(prompt_of(200, seed=1), n_predict=1)

    assert len(answer.chunks) == 3
    engine.step()
    n_sent = len(answer.chunks)
    engine.step()
    assert len(answer.chunks) > n_sent


def test_a_stream_has_its_tokens_when_it_is_held(engine: SteppedEngine) -> None:
    answer = stream(engine, is_background=True)

    engine.engine.hold(is_held=True)

    assert len(answer.chunks) == 3


def test_a_stream_has_its_tokens_before_prefixes_are_saved(engine: SteppedEngine) -> None:
    answer = stream(engine)

    engine.engine.save_prefixes(0.0)

    assert len(answer.chunks) == 3


def test_a_stream_that_takes_turns_with_another_loop_has_each_token_at_once(
    engine: SteppedEngine,
) -> None:
    answer = stream(engine)
    other = engine.ask(prompt_of(9, seed=1), n_predict=40, is_deterministic=True)
    engine.run_until(lambda: bool(other.chunks))
    n_sent = len(answer.chunks)

    engine.step()

    assert len(answer.chunks) == n_sent + 1


def test_a_stream_has_each_token_at_once_while_a_picture_is_encoded(
    start_engine: StartEngine, vision_files: Files
) -> None:
    engine = seeing(start_engine, vision_files["llava"], stream_interval_ns=HOUR_NS)
    answer = stream(engine)
    n_sent: list[int] = []

    def note() -> None:
        engine.engine._loop._text_step_ns = 0  # whatever the last batch of text took
        n_sent.append(len(answer.chunks))

    engine.on_pause = note
    look(engine, picture())
    engine.run_until(lambda: engine.stats.n_media_encoded == 1)

    assert len(n_sent) > 5
    assert n_sent == list(range(n_sent[0], n_sent[0] + len(n_sent)))
    assert n_sent[0] >= 3
