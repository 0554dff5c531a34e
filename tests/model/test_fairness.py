"""Owners of requests take turns: one with many requests does not hold up another with one."""

from pathlib import Path

from tests.support.prompts import prompt_of
from tests.support.stepped_engine import Answer, StartEngine, SteppedEngine


def order_of_ends(engine: SteppedEngine, **answers: Answer) -> list[str]:
    """Run until all answers have ended; return their names in the order of their ends."""
    ended: list[str] = []

    def note() -> bool:
        ended.extend(
            name for name, answer in answers.items() if answer.end is not None and name not in ended
        )
        return len(ended) == len(answers)

    engine.run_until(note)
    return ended


def test_a_single_request_waits_for_at_most_two_of_a_hundred(
    start_engine: StartEngine, weights: Path
) -> None:
    """With one slot: one that runs, and one that came first."""
    engine = start_engine(weights, n_seq=1)
    many = {f"a{i}": engine.ask(prompt_of(6, seed=i), n_predict=2, owner="a") for i in range(100)}
    engine.run_until(lambda: bool(many["a0"].chunks))
    single = engine.ask(prompt_of(6, seed=200), n_predict=2, owner="b")

    order = order_of_ends(engine, **many, single=single)

    assert order.index("single") <= 2
    assert [name for name in order if name != "single"] == list(many)


def test_three_owners_are_served_in_turn(start_engine: StartEngine, weights: Path) -> None:
    engine = start_engine(weights, n_seq=1)
    answers = {
        f"{owner}{i}": engine.ask(prompt_of(6, seed=i), n_predict=2, owner=owner)
        for owner, number in (("a", 4), ("b", 2), ("c", 1))
        for i in range(number)
    }

    assert order_of_ends(engine, **answers) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_who_waited_for_nothing_gains_nothing_by_it(
    start_engine: StartEngine, weights: Path
) -> None:
    """An owner that was idle while another was served a hundred times has one turn, not fifty."""
    engine = start_engine(weights, n_seq=1)
    for i in range(5):
        engine.ask(prompt_of(6, seed=i), n_predict=2, owner="a")
    engine.run()
    late = {f"b{i}": engine.ask(prompt_of(6, seed=i), n_predict=2, owner="b") for i in range(3)}
    mine = {f"a{i}": engine.ask(prompt_of(6, seed=9), n_predict=2, owner="a") for i in range(2)}

    assert order_of_ends(engine, **late, **mine) == ["b0", "a0", "b1", "a1", "b2"]


def test_texts_of_a_single_request_are_embedded_before_those_of_many(
    engine: SteppedEngine,
) -> None:
    texts = ["one two three four five six seven eight"] * 40
    many = [engine.embed(*texts, owner="a") for _ in range(5)]
    single = engine.embed("one", owner="b")

    engine.run_until(lambda: single.end is not None)

    assert all(answer.end is None for answer in many)
    engine.run()
    assert all(answer.vectors.shape[0] == 40 for answer in many)
