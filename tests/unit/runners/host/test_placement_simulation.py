"""Placement over minutes of load on many machines, by a simulation with a fake clock."""

import pytest

from tests.support.placement_simulation import Result, Simulation, Workload

WORKLOAD = Workload(
    n_machines=12, n_models=40, requests_per_minute=600.0, seconds=240.0, failures_per_minute=2.0,
    repair_seconds=30.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def result() -> Result:
    return Simulation(WORKLOAD).run()


def test_no_machine_is_ever_over_its_memory(result: Result) -> None:
    assert 0.5 < result.most_memory <= 1.0


def test_every_request_is_answered_although_machines_fail(result: Result) -> None:
    """Those apart that were lost in mid-stream, or were placed three times in vain."""
    assert result.n_lost > 0
    assert len(result.waits) + result.n_given_up == result.n_requests


def test_popular_models_get_replicas_which_know_the_prompts_they_get(result: Result) -> None:
    assert result.n_replicas > 0
    assert result.n_known_prefix > 0.3 * len(result.waits)


def test_a_model_is_loaded_few_times(result: Result) -> None:
    """Not on every machine: a load takes as long as many answers."""
    assert result.n_loads < 3 * WORKLOAD.n_models
