"""On which devices a model's layers go; pure."""

import re
from collections.abc import Sequence

from runners.host.memory_estimate import GIB, Shape, compute_bytes, layer_sizes
from runners.host.model_request import ModelFacts, SchedulerConfig
from runners.protocol.messages import Device
from runners.protocol.placement import Placement

# One GPU is enough when the model takes no more than this share of what is free on it.
SINGLE_GPU_SHARE = 0.8
# Left free on each of several GPUs, and where layers had to stay behind.
MARGIN = GIB


def is_automatic(num_gpu: int | None) -> bool:
    """Whether the option `num_gpu` leaves the number of layers on GPUs open."""
    return num_gpu is None or num_gpu < 0


def place(
    facts: ModelFacts,
    shape: Shape,
    gpus: Sequence[Device],
    *,
    config: SchedulerConfig,
    num_gpu: int | None = None,
    max_layers: int | None = None,
) -> Placement:
    """Return where the layers go: one GPU if it is enough, else the best group, else fewer layers.

    A `num_gpu` that is not automatic is obeyed whether it fits or not.
    """
    sizes, compute = layer_sizes(facts, shape), compute_bytes(facts, shape)
    wanted = len(sizes) if num_gpu is None or num_gpu < 0 else min(num_gpu, len(sizes))
    if max_layers is not None:
        wanted = min(wanted, max_layers)
    if not gpus or wanted == 0:
        return Placement()
    alone = _enough_alone(sum(sizes[-wanted:]) + compute, gpus, config)
    if alone is not None and (not config.sched_spread or len(gpus) == 1):
        return Placement(wanted, (alone.index,))
    group = _best_group(gpus)
    for n_layers in range(wanted, 0 if is_automatic(num_gpu) else wanted - 1, -1):
        fitting = _fitted(sizes[-n_layers:], compute, group, config.gpu_overhead)
        if fitting is not None:
            return fitting
    if is_automatic(num_gpu):
        return Placement()
    counts = divide(sizes[-wanted:], [max(1, gpu.free) for gpu in group])
    return _placement([gpu.index for gpu in group], counts)


def divide(sizes: Sequence[int], weights: Sequence[int]) -> tuple[int, ...]:
    """Cut `sizes` into runs whose sums are in proportion to `weights`; return their lengths."""
    total, capacity = sum(sizes), sum(weights)
    counts: list[int] = []
    taken, goal, position = 0.0, 0.0, 0
    for weight in weights:
        goal += total * weight / capacity
        start = position
        while position < len(sizes) and taken + sizes[position] / 2 <= goal:
            taken += sizes[position]
            position += 1
        counts.append(position - start)
    counts[-1] += len(sizes) - position
    return tuple(counts)


def _enough_alone(need: int, gpus: Sequence[Device], config: SchedulerConfig) -> Device | None:
    best = max(gpus, key=lambda gpu: gpu.free)
    fits = need <= SINGLE_GPU_SHARE * (best.free - config.gpu_overhead)
    return best if fits else None


def _best_group(gpus: Sequence[Device]) -> tuple[Device, ...]:
    """Return the GPUs of one backend with the most free memory; a model spans no more than one."""
    groups: dict[str, list[Device]] = {}
    for gpu in gpus:
        groups.setdefault(re.sub(r"\d+$", "", gpu.name), []).append(gpu)
    return tuple(max(groups.values(), key=lambda group: sum(gpu.free for gpu in group)))


def _fitted(
    sizes: Sequence[int], compute: int, group: Sequence[Device], overhead: int
) -> Placement | None:
    """Return `sizes` divided among the group by free memory, or None if a part does not fit."""
    budgets = {gpu.index: gpu.free - overhead - MARGIN - compute for gpu in group}
    budgets = {index: budget for index, budget in budgets.items() if budget > 0}
    if not budgets:
        return None
    counts = divide(sizes, tuple(budgets.values()))
    position = 0
    for count, budget in zip(counts, budgets.values(), strict=True):
        if sum(sizes[position : position + count]) > budget:
            return None
        position += count
    return _placement(tuple(budgets), counts)


def _placement(indices: Sequence[int], counts: Sequence[int]) -> Placement:
    """Leave out devices that got nothing: opening one costs memory on it."""
    used = [(index, count) for index, count in zip(indices, counts, strict=True) if count]
    split = tuple(float(count) for _, count in used) if len(used) > 1 else ()
    return Placement(sum(counts), tuple(index for index, _ in used), split)
