"""Text of quick steps is gathered for a bounded time; what a client waits for is sent at once."""

from runners.engine.batching.step_events import Event, StepEvents
from runners.protocol.messages import Chunk, Done, Failed, FailureCode, StopReason

INTERVAL = 30


class Steps:
    """Steps that take a set time, and the messages that they sent."""

    def __init__(self, interval_ns: int = INTERVAL) -> None:
        self.now = 1000
        self.sent: list[tuple[int, tuple[Event, ...]]] = []
        self.events = StepEvents(self._emit, interval_ns=interval_ns, clock=lambda: self.now)

    def _emit(self, events: tuple[Event, ...]) -> None:
        self.sent.append((self.now, events))

    def step(self, *events: Event, ns: int = 8) -> None:
        self.now += ns
        for event in events:
            self.events.add(event)
        self.events.end_step(ns)

    def text(self, id: int) -> str:
        chunks = [event for _, events in self.sent for event in events if isinstance(event, Chunk)]
        return "".join(chunk.text for chunk in chunks if chunk.id == id)


def done(id: int) -> Done:
    return Done(
        id=id,
        reason=StopReason.LENGTH,
        n_prompt=1,
        n_reused=0,
        n_truncated=0,
        n_eval=1,
        prompt_ns=1,
        eval_ns=1,
    )


def test_the_first_text_of_an_answer_is_sent_at_once() -> None:
    steps = Steps()
    steps.step(Chunk(1, "a"))
    steps.step(Chunk(1, "b"))
    assert len(steps.sent) == 1

    steps.step(Chunk(1, "c"), Chunk(2, "x"))

    assert [events for _, events in steps.sent] == [
        (Chunk(1, "a"),),
        (Chunk(1, "b"), Chunk(1, "c"), Chunk(2, "x")),
    ]


def test_a_first_token_without_text_is_not_the_first_text() -> None:
    """It may be the first byte of a character."""
    steps = Steps()
    steps.step(Chunk(1, "a"))
    steps.step(Chunk(2, ""))
    assert len(steps.sent) == 1

    steps.step(Chunk(2, "é"))

    assert len(steps.sent) == 2


def test_text_of_quick_steps_goes_out_together_and_no_token_waits_longer_than_the_interval() -> (
    None
):
    steps = Steps()
    computed = {}
    for n in range(100):
        steps.step(Chunk(1, f"{n} "))
        computed[f"{n} "] = steps.now

    waits = [
        at - computed[event.text]
        for at, events in steps.sent
        for event in events
        if isinstance(event, Chunk)
    ]
    assert max(waits) < INTERVAL
    assert {len(events) for _, events in steps.sent[1:]} == {3}


def test_slow_steps_send_each_token_at_once() -> None:
    steps = Steps()
    for n in range(9):
        steps.step(Chunk(1, str(n)), ns=INTERVAL // 2)

    assert [events for _, events in steps.sent] == [(Chunk(1, str(n)),) for n in range(9)]


def test_a_step_that_became_slow_lets_nothing_wait_for_another() -> None:
    steps = Steps()
    steps.step(Chunk(1, "a"))
    steps.step(Chunk(1, "b"), ns=1)
    steps.step(Chunk(1, "c"), ns=INTERVAL // 2)

    assert steps.sent[-1] == (steps.now, (Chunk(1, "b"), Chunk(1, "c")))


def test_the_end_of_an_answer_is_sent_at_once_with_all_that_was_held_back() -> None:
    failure = Failed(id=2, code=FailureCode.COMPUTE)
    for end in (done(2), failure):
        steps = Steps()
        steps.step(Chunk(1, "a"), Chunk(2, "x"))
        steps.step(Chunk(1, "b"), Chunk(2, "y"))

        steps.step(Chunk(1, "c"), end)

        assert steps.sent[-1][1] == (Chunk(1, "b"), Chunk(2, "y"), Chunk(1, "c"), end)
        assert (steps.text(1), steps.text(2)) == ("abc", "xy")


def test_an_id_that_is_used_again_begins_again() -> None:
    steps = Steps()
    steps.step(Chunk(1, "a"), done(1))

    steps.step(Chunk(1, "b"))

    assert len(steps.sent) == 2


def test_whoever_begins_something_long_sends_what_is_held_back() -> None:
    steps = Steps()
    steps.step(Chunk(1, "a"))
    steps.step(Chunk(1, "b"))

    steps.events.flush()
    steps.events.flush()

    assert [events for _, events in steps.sent] == [(Chunk(1, "a"),), (Chunk(1, "b"),)]


def test_without_an_interval_every_step_sends() -> None:
    steps = Steps(interval_ns=0)
    for n in range(5):
        steps.step(Chunk(1, str(n)))

    assert len(steps.sent) == 5
