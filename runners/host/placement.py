"""Place the layers of a model on GPUs; pure functions."""

import re
from collections.abc import Sequence

from runners.host.memory_estimate import GIB, Shape, compute_bytes, layer_sizes
from runners.host.model_request import ModelFacts, SchedulerConfig
from runners.protocol.messages import Device
from runners.protocol.placement import Placement

# A single GPU is used if the model takes at most this share of its free memory.
SINGLE_GPU_SHARE = 0.8
# Memory left free on each GPU of several, or of one that cannot take all layers.
MARGIN = GIB


def is_automatic(num_gpu: int | None) -> bool:
    """Whether the option `num_gpu` leaves the number of layers on GPUs to the server."""
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
    """Return the placement: one GPU if it is enough, else a group of GPUs, else fewer layers.

    A `num_gpu` that is not automatic is used whether it fits or not.
    """
    sizes, compute = layer_sizes(facts, shape), compute_bytes(facts, shape)
    n_offload = len(sizes) if num_gpu is None or num_gpu < 0 else min(num_gpu, len(sizes))
    if max_layers is not None:
        n_offload = min(n_offload, max_layers)
    if not gpus or n_offload == 0:
        return Placement()
    alone = _enough_alone(sum(sizes[-n_offload:]) + compute, gpus, config)
    if alone is not None and (not config.sched_spread or len(gpus) == 1):
        return Placement(n_offload, (alone.index,))
    group = _best_group(gpus)
    for n_layers in range(n_offload, 0 if is_automatic(num_gpu) else n_offload - 1, -1):
        fitting = _fitted(sizes[-n_layers:], compute, group, config.gpu_overhead)
        if fitting is not None:
            return fitting
    if is_automatic(num_gpu):
        return Placement()
    counts = divide(sizes[-n_offload:], [max(1, gpu.free) for gpu in group])
    return _placement([gpu.index for gpu in group], counts)


def divide(sizes: Sequence[int], weights: Sequence[int]) -> tuple[int, ...]:
    """Split `sizes` into runs with sums in proportion to `weights`; return their lengths."""
    total, capacity = sum(sizes), sum(weights)
    counts: list[int] = []
    used, goal, position = 0.0, 0.0, 0
    for weight in weights:
        goal += total * weight / capacity
        start = position
        while position < len(sizes) and used + sizes[position] / 2 <= goal:
            used += sizes[position]
            position += 1
        counts.append(position - start)
    counts[-1] += len(sizes) - position
    return tuple(counts)


def _enough_alone(need: int, gpus: Sequence[Device], config: SchedulerConfig) -> Device | None:
    best = max(gpus, key=lambda gpu: gpu.free)
    fits = need <= SINGLE_GPU_SHARE * (best.free - config.gpu_overhead)
    return best if fits else None


def _best_group(gpus: Sequence[Device]) -> tuple[Device, ...]:
    """Return the GPUs of the backend with the most free memory; a model uses one backend."""
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
    """Return the placement without unused devices: initialising one takes memory on it."""
    used = [(index, count) for index, count in zip(indices, counts, strict=True) if count]
    split = tuple(float(count) for _, count in used) if len(used) > 1 else ()
    return Placement(sum(counts), tuple(index for index, _ in used), split)
