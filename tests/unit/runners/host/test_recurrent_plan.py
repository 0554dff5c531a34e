"""Recurrent states are planned for: each sequence has some, as large as thousands of tokens."""

from dataclasses import replace

import pytest

from runners.host.load_plan import LoadPlan, PlanInputs, make_plan, smaller_plan
from runners.host.memory_estimate import GIB, MIB, Shape, layer_sizes
from runners.host.model_request import SchedulerConfig
from runners.protocol.load_spec import LoadSpec
from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind
from tests.support.models import FACTS, model_request

STATE = 50 * MIB
"""That of a model of 4 or 9 billion parameters."""
HYBRID = replace(
    FACTS, layer_bytes=(GIB, GIB), kv_heads=(0, 2), state_bytes=(STATE, 0), n_ctx_train=4096
)
SMALL = replace(HYBRID, state_bytes=(MIB // 8, 0))
CONFIG = SchedulerConfig()


def inputs(facts: object = HYBRID, *, ram: float = 0, vram: float = 0, **config: int) -> PlanInputs:
    gpu = Device(
        index=1,
        name="CUDA0",
        description="",
        kind=DeviceKind.GPU,
        free=int(vram * GIB),
        total=int(vram * GIB),
    )
    return PlanInputs(
        request=model_request(facts=facts),
        config=replace(CONFIG, **config),
        gpus=(gpu,) if vram else (),
        ram_available=int(ram * GIB),
    )


def states(spec: LoadSpec) -> tuple[int, int]:
    """Return the sequences, and the states that each keeps to go back to."""
    return spec.n_seq, spec.n_rollback


def n_bytes(plan: LoadPlan) -> int:
    return plan.spec.n_seq * (1 + plan.spec.n_rollback) * STATE


@pytest.mark.parametrize(
    ("ram", "expected"),
    [
        pytest.param(2, (6, 0), id="2 GiB: no drafts"),
        pytest.param(8, (4, 2), id="8 GiB: short drafts"),
        pytest.param(16, (8, 2), id="16 GiB: more sequences"),
        pytest.param(999, (8, 4), id="no more than 2 GiB: longer drafts"),
    ],
)
def test_states_take_a_small_part_of_the_memory(ram: float, expected: tuple[int, int]) -> None:
    assert states(make_plan(inputs(ram=ram)).spec) == expected


def test_small_states_leave_the_number_of_sequences_as_it_is() -> None:
    assert states(make_plan(inputs(SMALL, ram=8)).spec) == (16, 4)
    assert states(make_plan(inputs(SMALL, vram=24)).spec) == (64, 4)


@pytest.mark.parametrize("vram", [3.5, 4, 6, 8, 12, 24])
def test_states_fit_on_the_gpu_beside_all_layers(vram: float) -> None:
    """64 sequences would have 3 GiB of states, and push layers to the CPU."""
    plan = make_plan(inputs(vram=vram))
    shape = Shape(plan.spec.n_cells, plan.spec.n_batch)
    assert plan.spec.placement.n_gpu_layers == 3
    assert plan.spec.n_seq >= 4
    assert sum(layer_sizes(HYBRID, shape)) + n_bytes(plan) < vram * GIB


def test_layers_leave_room_for_the_states_of_a_few_sequences() -> None:
    without = replace(HYBRID, state_bytes=())
    sizes = [vram / 100 for vram in range(200, 400)]
    fits = [make_plan(inputs(f, vram=v)).spec.placement.n_gpu_layers == 3
            for f in (without, HYBRID) for v in sizes]  # fmt: skip
    n_without, n_with = sum(fits[: len(sizes)]), sum(fits[len(sizes) :])
    assert n_without - n_with >= 4 * STATE * 100 // GIB


def test_a_promised_number_of_sequences_is_kept() -> None:
    assert states(make_plan(inputs(ram=2, num_parallel=10)).spec) == (10, 0)
    assert states(make_plan(inputs(ram=999, num_parallel=10)).spec) == (10, 4)


def test_states_that_were_spare_are_given_up_when_memory_runs_out() -> None:
    smaller = smaller_plan(make_plan(inputs(ram=999)))
    assert smaller is not None
    assert states(smaller.spec) == (4, 0)


def test_states_count_as_memory_of_the_machine() -> None:
    planned = make_plan(inputs(ram=999, num_parallel=8))
    without = make_plan(inputs(replace(HYBRID, state_bytes=()), ram=999, num_parallel=8))
    assert planned.ram_bytes - without.ram_bytes == n_bytes(planned)


PREDICTING = replace(HYBRID, predicts=True)


@pytest.mark.parametrize(("vram", "expected"), [(0, True), (24, True), (2, False)])
def test_layers_that_predict_are_loaded_unless_a_gpu_has_no_room_for_all(
    vram: float, expected: bool
) -> None:
    plan = make_plan(inputs(PREDICTING, ram=16, vram=vram))
    assert plan.spec.predicts == expected
    assert not make_plan(inputs(ram=16, vram=vram)).spec.predicts


def test_layers_that_predict_are_given_up_when_memory_runs_out() -> None:
    plan = make_plan(inputs(PREDICTING, ram=16))
    while plan.spec.predicts:
        smaller = smaller_plan(plan)
        assert smaller is not None
        plan = smaller
    assert plan.spec.n_ctx == 4096
