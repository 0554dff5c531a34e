"""Which devices the layers of a model go to."""

from dataclasses import replace

import pytest

from runners.host.memory_estimate import GIB, MIB, Shape, compute_bytes
from runners.host.model_request import ModelFacts, SchedulerConfig
from runners.host.placement import divide, place
from runners.protocol.messages import Device
from runners.protocol.placement import DeviceKind, Placement

CONFIG = SchedulerConfig()
SHAPE = Shape(4096, 512)
# Ten layers of 1 GiB with an output of 1 GiB: with what it computes, 11 to 12 GiB in all.
LARGE = ModelFacts(
    layer_bytes=(GIB - 4 * MIB,) * 10,
    embedding_bytes=GIB,
    output_bytes=GIB,
    n_embd=512,
    n_vocab=32000,
    n_ctx_train=8192,
    n_heads=8,
    kv_heads=(4,) * 10,
    head_dim_k=64,
    head_dim_v=64,
)


def gpu(index: int, free: float, name: str = "CUDA") -> Device:
    return Device(
        index=index,
        name=f"{name}{index}",
        description="",
        kind=DeviceKind.GPU,
        free=int(free * GIB),
        total=80 * GIB,
    )


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        pytest.param((), Placement(), id="no GPU"),
        pytest.param((gpu(0, 24),), Placement(11, (0,)), id="fits one GPU"),
        pytest.param((gpu(0, 10), gpu(1, 24)), Placement(11, (1,)), id="the one with most room"),
        pytest.param((gpu(0, 13),), Placement(11, (0,)), id="over 80 % but within the margin"),
        pytest.param(
            (gpu(3, 8.5), gpu(5, 8.5)), Placement(11, (3, 5), (6.0, 5.0)), id="two equal GPUs"
        ),
        pytest.param(
            (gpu(0, 11), gpu(1, 6)), Placement(11, (0, 1), (7.0, 4.0)), id="two unequal GPUs"
        ),
        pytest.param((gpu(0, 6.4),), Placement(5, (0,)), id="partial offload"),
        pytest.param((gpu(0, 1),), Placement(), id="room for nothing"),
        pytest.param(
            (gpu(0, 7, "Vulkan"), gpu(1, 6.4)), Placement(5, (0,)), id="never across backends"
        ),
    ],
)
def test_place_chooses_devices_and_layers(gpus: tuple[Device, ...], expected: Placement) -> None:
    assert place(LARGE, SHAPE, gpus, config=CONFIG) == expected


def test_place_uses_all_gpus_when_told_to_spread() -> None:
    config = replace(CONFIG, sched_spread=True)
    placement = place(LARGE, SHAPE, (gpu(0, 40), gpu(1, 40)), config=config)
    assert placement == Placement(11, (0, 1), (6.0, 5.0))


def test_place_leaves_the_configured_overhead_free() -> None:
    config = replace(CONFIG, gpu_overhead=2 * GIB)
    assert place(LARGE, SHAPE, (gpu(0, 8.4),), config=config) == Placement(5, (0,))


@pytest.mark.parametrize(
    ("num_gpu", "layers"), [(0, 0), (3, 3), (11, 11), (99, 11), (-1, 11), (None, 11)]
)
def test_num_gpu_gives_the_layers_exactly(num_gpu: int | None, layers: int) -> None:
    placement = place(LARGE, SHAPE, (gpu(0, 24),), config=CONFIG, num_gpu=num_gpu)
    assert placement.n_gpu_layers == layers


def test_num_gpu_is_obeyed_when_it_does_not_fit() -> None:
    """The user may know better than an estimate, and is told when the load fails."""
    placement = place(LARGE, SHAPE, (gpu(0, 2), gpu(1, 2)), config=CONFIG, num_gpu=99)
    assert placement.n_gpu_layers == 11
    assert placement.devices == (0, 1)


def test_no_device_is_given_more_than_it_has() -> None:
    free = (9.0, 3.1, 5.5)
    gpus = tuple(gpu(index, size) for index, size in enumerate(free))
    placement = place(LARGE, SHAPE, gpus, config=CONFIG)
    assert placement.n_gpu_layers > 0
    for index, share in zip(placement.devices, placement.split, strict=True):
        used = share * GIB + compute_bytes(LARGE, SHAPE)
        assert used <= gpus[index].free - GIB


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ((1,) * 10, (1, 1), (5, 5)),
        ((1,) * 10, (3, 1), (8, 2)),
        ((1,) * 3, (1, 1, 1, 1), (1, 1, 0, 1)),
        ((5, 1, 1, 1), (5, 3), (1, 3)),
        ((1,), (1,), (1,)),
    ],
)
def test_divide_follows_the_weights_and_loses_no_layer(
    sizes: tuple[int, ...], weights: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    counts = divide(sizes, weights)
    assert sum(counts) == len(sizes)
    assert counts == expected
