"""When a runner counts as hung, and when it is only slow."""

import os

import pytest

from runners.host.liveness import (
    Activity,
    Observation,
    ProbeConfig,
    Watchdog,
    parse_stat,
    read_activity,
)

CONFIG = ProbeConfig(interval=2.5, silence=10, busy_silence=120, stall=60, gpu_step=300)
MINUTE = 24
"""Observations."""


class Runner:
    """A runner under observation; `see` returns the reason once it counts as hung."""

    def __init__(self, *, all_on_gpu: bool = False) -> None:
        self.watchdog = Watchdog(CONFIG)
        self.cpu, self.faults, self.steps = 0.0, 0, 0
        self.all_on_gpu = all_on_gpu
        self.see(1)

    def see(
        self,
        count: int,
        *,
        answers: bool = True,
        busy: bool = False,
        cpu: float = 0.0,
        faults: int = 0,
        steps: int = 0,
    ) -> str | None:
        """Observe it `count` times; `cpu`, `faults` and `steps` are added each time."""
        for _ in range(count):
            self.cpu, self.faults, self.steps = (
                self.cpu + cpu, self.faults + faults, self.steps + steps,
            )  # fmt: skip
            reason = self.watchdog.observe(
                Observation(
                    has_answered=answers,
                    is_busy=busy,
                    n_steps=self.steps,
                    activity=Activity(self.cpu, self.faults),
                ),
                all_on_gpu=self.all_on_gpu,
            )
            if reason is not None:
                return reason
        return None


def test_an_idle_runner_that_answers_is_never_hung() -> None:
    assert Runner().see(100 * MINUTE) is None


def test_a_runner_that_neither_answers_nor_does_anything_is_hung_after_ten_seconds() -> None:
    runner = Runner()
    assert runner.see(3, answers=False) is None
    assert runner.see(1, answers=False) == "did not respond for 10 seconds"


@pytest.mark.parametrize("busy", [False, True])
def test_a_stopped_runner_is_noticed_whatever_it_did_before(busy: bool) -> None:
    runner = Runner()
    assert runner.see(3, busy=busy, cpu=2.0, steps=1) is None
    assert runner.see(4, answers=False, busy=busy) == "did not respond for 10 seconds"


def test_an_answer_ends_the_silence() -> None:
    runner = Runner()
    for _ in range(10):
        assert runner.see(3, answers=False) is None
        assert runner.see(1) is None


@pytest.mark.parametrize("work", [{"cpu": 0.01}, {"faults": 1}], ids=["cpu", "disk"])
def test_a_runner_too_busy_to_answer_has_two_minutes(work: dict[str, float]) -> None:
    runner = Runner()
    assert runner.see(2 * MINUTE - 1, answers=False, **work) is None
    assert runner.see(1, answers=False, **work) == "did not respond for 120 seconds"


def test_a_step_of_an_hour_on_a_slow_cpu_is_no_hang() -> None:
    assert Runner().see(60 * MINUTE, busy=True, cpu=2.4) is None


def test_a_step_that_reads_weights_from_a_slow_disk_is_no_hang() -> None:
    assert Runner().see(60 * MINUTE, busy=True, faults=10) is None


def test_a_step_of_a_runner_that_gets_little_cpu_time_is_no_hang() -> None:
    assert Runner().see(60 * MINUTE, busy=True, cpu=0.06) is None


def test_requests_without_progress_or_work_for_a_minute_are_a_hang() -> None:
    """Answering pings takes a little CPU time, which is no progress."""
    runner = Runner()
    assert runner.see(MINUTE, busy=True, cpu=0.001) is None
    assert runner.see(1, busy=True, cpu=0.001) == "made no progress for 60 seconds"


def test_progress_begins_the_minute_anew() -> None:
    runner = Runner()
    for _ in range(5):
        assert runner.see(MINUTE - 1, busy=True) is None
        assert runner.see(1, busy=True, steps=1) is None


def test_a_gpu_step_is_hung_after_five_minutes_even_if_the_driver_spins() -> None:
    runner = Runner(all_on_gpu=True)
    assert runner.see(5 * MINUTE, busy=True, cpu=2.5) is None
    assert runner.see(1, busy=True, cpu=2.5) == "made no progress for 300 seconds"


def test_stat_of_a_process_whose_name_holds_blanks_and_parentheses() -> None:
    numbers = " ".join(str(n) for n in range(4, 53))
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert parse_stat(f"17 (a) b (c) S {numbers}") == Activity((14 + 15) * tick, 12)


def test_activity_of_a_process_grows_while_it_computes_and_ends_with_it() -> None:
    before = read_activity(os.getpid())
    assert before is not None
    while (now := read_activity(os.getpid())) is not None and now.cpu_seconds == before.cpu_seconds:
        pass
    assert now is not None
    assert now.cpu_seconds > before.cpu_seconds
    assert read_activity(2**22 + 1) is None
