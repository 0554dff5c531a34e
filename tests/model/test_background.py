"""Background requests give way to others, and lose nothing that was computed."""

from pathlib import Path

from runners.protocol.messages import StopReason
from tests.support.prompts import prompt_of
from tests.support.stepped_engine import StartEngine, SteppedEngine


def test_an_answer_that_is_held_in_the_middle_ends_as_if_it_were_not(
    engine: SteppedEngine,
) -> None:
    """Its prompt and its tokens so far are still in the cache and are not computed again."""
    expected = engine.answer(prompt_of(60), n_predict=12).text
    held = engine.ask(prompt_of(60, seed=1), n_predict=12, is_background=True)
    engine.run_until(lambda: len(held.chunks) == 5)
    computed = engine.stats.n_prompt_computed

    engine.engine.hold(is_held=True)
    other = engine.ask(prompt_of(60), n_predict=12)
    engine.run()

    assert (other.text, len(held.chunks)) == (expected, 5)
    engine.engine.hold(is_held=False)
    engine.run()
    assert held.done.n_eval == 12
    assert held.text == engine.answer(prompt_of(60, seed=1), n_predict=12).text
    assert engine.stats.n_prompt_computed - computed < 60


def test_a_request_that_comes_while_others_run_waits_for_the_end_of_the_hold(
    engine: SteppedEngine,
) -> None:
    engine.engine.hold(is_held=True)
    held = engine.ask(prompt_of(9), n_predict=3, is_background=True)

    assert not engine.engine.busy
    assert engine.stats.n_waiting == 1
    engine.engine.hold(is_held=False)
    engine.run()
    assert held.done.n_eval == 3


def test_a_request_that_is_held_can_be_cancelled(engine: SteppedEngine) -> None:
    held = engine.ask(prompt_of(9), n_predict=30, is_background=True)
    engine.run_until(lambda: len(held.chunks) == 5)
    engine.engine.hold(is_held=True)

    engine.cancel(held)

    assert (held.done.reason, held.done.n_eval) == (StopReason.CANCELLED, 5)
    engine.engine.hold(is_held=False)
    assert not engine.engine.busy


def test_others_get_the_only_slot_and_all_cells(start_engine: StartEngine, weights: Path) -> None:
    engine = start_engine(weights, n_seq=1, n_ctx=128, n_cells=128)
    held = engine.ask(prompt_of(90), n_predict=20, is_background=True)
    engine.run_until(lambda: len(held.chunks) == 5)
    engine.engine.hold(is_held=True)

    other = engine.answer(prompt_of(90, seed=1), n_predict=20)

    assert other.done.n_eval == 20
    engine.engine.hold(is_held=False)
    engine.run()
    assert held.done.n_eval == 20


def test_texts_of_a_background_request_are_embedded_later(engine: SteppedEngine) -> None:
    expected = engine.embed(prompt_of(9), prompt_of(99))
    engine.run()
    held = engine.embed(prompt_of(9), prompt_of(99), is_background=True)
    engine.engine.hold(is_held=True)

    other = engine.embed(prompt_of(9))
    engine.run()

    assert len(other.vectors) == 1
    assert held.end is None
    engine.engine.hold(is_held=False)
    engine.run()
    assert (held.vectors == expected.vectors).all()
