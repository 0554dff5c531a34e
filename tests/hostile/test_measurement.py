"""The harness itself: ordinary requests break no rule, and a fault of the server would be seen."""

import json
import signal
import time

from tests.support.hostile.bodies import VALID
from tests.support.hostile.measurement import MAX_MEMORY, Attack, Measurement, Scene, Target


def test_ordinary_requests_break_no_rule(hostile_scene: Scene) -> None:
    requests = [
        Attack(path, lambda target, path=path: target.post(path, json.dumps(VALID[path]).encode()))
        for path in ("/api/chat", "/api/embed", "/api/tokenize", "/v1/messages")
    ]

    assert not hostile_scene.faults(requests)
    assert {m.outcome for m in hostile_scene.measurements[-len(requests) :]} == {"200"}


def test_a_server_that_stands_still_is_seen(hostile_scene: Scene) -> None:
    def stop(_: Target) -> str:
        hostile_scene.server.process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        hostile_scene.server.process.send_signal(signal.SIGCONT)
        return "stopped"

    measured = hostile_scene.measure(Attack("standstill", stop))

    assert measured.longest_wait > 1.5
    assert measured.control_wait < measured.longest_wait


def test_waits_that_the_machine_causes_are_no_fault() -> None:
    measured = Measurement(
        name="x",
        outcome="200",
        seconds=1.0,
        longest_wait=1.0,
        control_wait=0.1,
        n_failed=0,
        memory=0,
    )

    assert not measured.faults()


def test_memory_is_bounded_by_the_size_of_the_body() -> None:
    def memory_fault(memory: int, size: int) -> bool:
        measured = Measurement(
            name="x", outcome="200", seconds=1.0, longest_wait=0.0, control_wait=0.0,
            n_failed=0, memory=memory, size=size,
        )  # fmt: skip
        return bool(measured.faults())

    assert not memory_fault(MAX_MEMORY, size=1)
    assert memory_fault(MAX_MEMORY + 1, size=1)
    assert not memory_fault(MAX_MEMORY + 1, size=MAX_MEMORY)
