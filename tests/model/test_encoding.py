"""While a picture is encoded others go on, come, leave and need room."""

from collections.abc import Callable

import pytest

from runners.protocol.messages import FailureCode, StopReason
from tests.support.seeing import ASKED, Files, look, look_through, seeing
from tests.support.stepped_engine import (
    Answer,
    StartEngine,
    SteppedEngine,
    assert_same_choices,
)
from tests.support.tiny_vision import picture


class Pauses:
    """Does something in each pause of an encoding, in which it is the others' turn to go on."""

    def __init__(self, engine: SteppedEngine, act: Callable[[int], None]) -> None:
        self.count = 0
        self._loop, self._act = engine.engine._loop, act
        engine.on_pause = self._on_pause

    def _on_pause(self) -> None:
        self._loop._text_step_ns = 0  # whatever the last batch of text took
        self._act(self.count)
        self.count += 1


def test_a_stream_goes_on_while_a_picture_is_encoded(llava: SteppedEngine) -> None:
    writer = llava.ask("Once upon a time", n_predict=100)
    llava.step(2)
    written: list[int] = []
    Pauses(llava, lambda _: written.append(len(writer.chunks)))
    look(llava, picture())
    llava.run_until(lambda: llava.stats.n_media_encoded == 1)

    assert len(written) > 5
    assert written == list(range(written[0], written[0] + len(written)))


def test_a_request_that_comes_while_a_picture_is_encoded_need_not_wait(
    llava: SteppedEngine,
) -> None:
    came: list[Answer] = []

    def come(pause: int) -> None:
        if pause == 0:
            came.append(llava.ask("Once upon a time", n_predict=2))

    Pauses(llava, come)
    looking = look(llava, picture())
    llava.run_until(lambda: llava.stats.n_media_encoded == 1)

    assert came[0].done.n_eval == 2
    assert not looking.chunks


def test_a_client_that_leaves_ends_the_encoding_of_its_picture(llava: SteppedEngine) -> None:
    def leave(pause: int) -> None:
        if pause == 1:
            llava.cancel(leaving)

    pauses = Pauses(llava, leave)
    leaving = look(llava, picture())
    llava.run()

    assert leaving.done.reason is StopReason.CANCELLED
    assert pauses.count == 2
    assert llava.stats.n_media_encoded == 0
    assert look_through(llava, picture()).done.n_eval == 8


@pytest.mark.parametrize("n_encoded", [0, 1], ids=["first", "second"])
def test_a_picture_whose_place_was_needed_is_computed_later(
    start_engine: StartEngine, vision_files: Files, n_encoded: int
) -> None:
    """Whichever of its pictures a request loses its place at, it sees each where it belongs."""
    shown, prompt = (picture(), picture(1)), f"{ASKED} [img-1]"
    wanted = look_through(seeing(start_engine, vision_files["llava"]), *shown, prompt=prompt)
    engine = seeing(start_engine, vision_files["llava"])
    engine.ask("Once upon a time", n_predict=100)
    engine.step(2)

    def preempt(pause: int) -> None:
        if engine.stats.n_media_encoded == n_encoded and not engine.stats.n_preempted:
            engine.engine._loop._scheduler._preempt()

    Pauses(engine, preempt)
    looking = look(engine, *shown, prompt=prompt)
    engine.run()

    assert engine.stats.n_preempted == 1
    assert_same_choices(looking, wanted)


def test_a_failure_in_a_pause_fails_those_at_work_and_no_others(llava: SteppedEngine) -> None:
    def fail(pause: int) -> None:
        raise ZeroDivisionError

    Pauses(llava, fail)
    looking = look(llava, picture())
    llava.run()
    llava.on_pause = lambda: None

    assert looking.failed.code is FailureCode.COMPUTE
    assert look_through(llava, picture()).done.n_eval == 8
