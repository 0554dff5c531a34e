"""How large a model's context, batch and KV cache are made; pure.

Sequences share one pool of KV cells, so many sequences cost nothing by themselves: their number
is generous and the pool is what memory decides about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runners.host.memory_estimate import CELL_STEP, FLOAT_BYTES, GIB, MIB, Shape, kv_cell_bytes
from runners.host.model_request import ModelFacts, ModelRequest, SchedulerConfig
from runners.protocol.messages import Device

MIN_CONTEXT = 4
# (least memory of all GPUs, context) as the reference server chooses it.
CONTEXT_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768), (0, 4_096))

# llama.cpp's own limit.
MAX_SEQUENCES = 256
CPU_SEQUENCES = 16
GPU_SEQUENCES = 64
EMBEDDING_SEQUENCES = 32

# Filling KV memory with zeros takes 0.3 s per GB, which a cold load on a CPU would wait for. The
# load of a large model takes longer by itself, and its tokens take more memory.
CPU_POOL_BYTES = 128 * MIB
CPU_POOL_SHARE = 4

BATCH = 512
LARGE_BATCH = 2048
# (context over which it pays, rows); a longer prompt keeps a GPU busier with more rows at once.
GPU_BATCHES = ((32_768, 2048), (4_096, 1024), (0, BATCH))


@dataclass(frozen=True, slots=True)
class Context:
    """How many tokens one sequence may hold, and whether nobody asked for that number."""

    n_ctx: int
    automatic: bool


def choose_context(
    request: ModelRequest,
    config: SchedulerConfig,
    gpus: Sequence[Device],
    max_automatic: int | None = None,
) -> Context:
    """Return the context asked for, or one by the memory of all GPUs and at most `max_automatic`.

    A model is never given more than it was trained with.
    """
    asked = request.options.num_ctx
    if asked is None and config.context_length > 0:
        asked = config.context_length
    automatic = asked is None
    n_ctx = _tier(gpus, config.gpu_overhead) if asked is None else max(asked, MIN_CONTEXT)
    if automatic and max_automatic is not None:
        n_ctx = min(n_ctx, max_automatic)
    if request.facts.n_ctx_train > 0:
        n_ctx = min(n_ctx, max(request.facts.n_ctx_train, MIN_CONTEXT))
    return Context(n_ctx, automatic)


def lower_tier(n_ctx: int) -> int | None:
    """Return the largest automatic context below `n_ctx`."""
    return next((tier for _, tier in CONTEXT_TIERS if tier < n_ctx), None)


def choose_sequences(
    facts: ModelFacts, config: SchedulerConfig, *, n_batch: int, all_on_gpu: bool
) -> int:
    """Return how many sequences may run at once; every one needs a row of each batch."""
    if config.num_parallel > 0:
        return min(config.num_parallel, MAX_SEQUENCES)
    if facts.is_embedding:
        return min(EMBEDDING_SEQUENCES, n_batch)
    return min(GPU_SEQUENCES if all_on_gpu else CPU_SEQUENCES, n_batch)


def least_cells(context: Context, config: SchedulerConfig) -> int:
    """Return the smallest pool: one full context, or one for each sequence that was promised."""
    return context.n_ctx * min(max(config.num_parallel, 1), MAX_SEQUENCES)


def batch_choices(
    request: ModelRequest, config: SchedulerConfig, context: Context, *, has_gpu: bool
) -> tuple[int, ...]:
    """Return batch sizes to try, the best first; the last one is taken in any case."""
    facts, asked = request.facts, request.options.num_batch
    least = max(1, min(config.num_parallel, MAX_SEQUENCES))
    if asked is not None:
        return (max(asked, least),)
    if facts.is_embedding:
        # Encoders see a whole text in one batch: what does not fit would have to be cut.
        needed = max(BATCH, min(context.n_ctx, LARGE_BATCH))
        return (LARGE_BATCH, needed) if has_gpu else (needed,)
    if not has_gpu:
        return (max(BATCH, least),)
    cells = least_cells(context, config)
    return tuple(max(rows, least) for over, rows in GPU_BATCHES if cells > over) or (BATCH,)


def cpu_pool_bytes(facts: ModelFacts) -> int:
    """Return what the pool of a model on the CPU may take where one context needs less."""
    return max(CPU_POOL_BYTES, facts.total_bytes // CPU_POOL_SHARE)


def pool_cells(facts: ModelFacts, shape: Shape, *, n_ctx: int, n_seq: int, spare_bytes: int) -> int:
    """Return the size of the pool when `spare_bytes` may be spent on top of `shape`."""
    kv = sum(kv_cell_bytes(facts, shape.cache_type))
    if kv == 0:
        return max(shape.n_cells, shape.n_batch)
    mask = shape.n_batch * (FLOAT_BYTES + 2)
    grown = shape.n_cells + max(0, spare_bytes) // (kv + mask)
    bounded = min(grown, n_ctx * n_seq) // CELL_STEP * CELL_STEP
    return max(shape.n_cells, bounded)


def _tier(gpus: Sequence[Device], overhead: int) -> int:
    memory = sum(max(0, gpu.total - overhead) for gpu in gpus)
    return next(n_ctx for least, n_ctx in CONTEXT_TIERS if memory >= least)
