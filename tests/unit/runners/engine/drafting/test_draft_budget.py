"""Rows are drafted where they give most tokens per time, and nowhere else."""

import numpy as np
import pytest

from runners.engine.drafting.draft_budget import allocate
from runners.engine.drafting.step_cost import MAX_ROWS, StepCost


def line(slope: float, rows: int = 33) -> np.ndarray:
    """Times of steps of 0, 1, … rows, where each further row costs `slope` of the first."""
    return 1 + slope * (np.arange(rows) - 1)


CERTAIN = [0.99**n for n in range(1, 17)]


def test_a_draft_that_is_nearly_certain_is_computed_whole_where_rows_are_cheap() -> None:
    assert allocate([CERTAIN], 1, line(0.1)) == [16]


def test_an_unlikely_draft_is_not_computed() -> None:
    assert allocate([[0.3, 0.1]], 1, line(0.35)) == [0]


def test_the_better_the_chance_the_longer_the_draft() -> None:
    short, long = ([p**n for n in range(1, 17)] for p in (0.6, 0.9))
    assert 0 < allocate([short], 1, line(0.2))[0] < allocate([long], 1, line(0.2))[0]


def test_rows_go_to_the_sequence_whose_draft_is_likelier() -> None:
    first, second = allocate([[0.5, 0.2], CERTAIN], 2, line(0.1))
    assert second > first


def test_a_sequence_without_a_draft_is_slowed_down_by_a_quarter_at_most() -> None:
    times = line(0.1)
    (count,) = allocate([CERTAIN], 2, times)
    assert 0 < count < 16
    assert times[2 + count] <= 1.25 * times[2]


def test_rows_end_with_the_outputs_of_the_batch() -> None:
    assert allocate([CERTAIN], 1, line(0.01, rows=6)) == [4]
    assert allocate([CERTAIN], 5, line(0.01, rows=6)) == [0]


def test_nothing_is_drafted_before_a_step_was_timed() -> None:
    assert allocate([CERTAIN], 1, StepCost().times[:18]) == [0]


def test_step_times_are_learnt_and_neighbours_follow() -> None:
    cost = StepCost()
    for _ in range(60):
        cost.record(1, 1_000)
        cost.record(8, 4_000)
    assert cost.times[8] / cost.times[1] == pytest.approx(4, rel=0.1)
    assert cost.times[7] / cost.times[1] > 3


def test_a_slower_machine_slows_all_estimates_down() -> None:
    cost = StepCost()
    for _ in range(40):
        cost.record(1, 1_000)
    long = cost.times[16]
    for _ in range(40):
        cost.record(1, 3_000)
    assert cost.times[16] > 1.5 * long


def test_an_outlier_does_not_end_drafting_for_good() -> None:
    cost = StepCost()
    for _ in range(20):
        cost.record(1, 1_000)
    usual = cost.times[8]
    cost.record(8, 100_000)
    assert cost.times[8] > usual
    for _ in range(8_000):
        cost.record(1, 1_000)
    assert cost.times[8] == pytest.approx(usual, rel=0.15)


def test_the_first_draft_is_short_and_later_ones_double() -> None:
    """Where rows are not cheaper together, finding that out costs little of an answer."""
    cost = StepCost()
    cost.record(1, 1_000)
    assert cost.trusted_rows(1) == 4
    cost.record(4, 4_000)
    assert cost.trusted_rows(1) == 8
    assert cost.trusted_rows(7) == 10


def test_larger_batches_than_are_estimated_are_ignored() -> None:
    cost = StepCost()
    cost.record(MAX_ROWS + 1, 1_000)
    assert not cost.times.any()
