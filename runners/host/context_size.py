"""Choose context size, batch size, number of sequences and of KV cells; pure functions.

All sequences share one pool of KV cells, so their number costs no memory, unless each has a
recurrent state. The size of the pool depends on the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runners.host.memory_estimate import CELL_STEP, FLOAT_BYTES, GIB, MIB, Shape, kv_cell_bytes
from runners.host.model_request import ModelFacts, ModelRequest, SchedulerConfig
from runners.protocol.messages import Device

MIN_CONTEXT = 4
# (minimum memory of all GPUs, context), as in the reference server.
CONTEXT_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768), (0, 4_096))

# llama.cpp's own limit.
MAX_SEQUENCES = 256
CPU_SEQUENCES = 16
GPU_SEQUENCES = 64
EMBEDDING_SEQUENCES = 32
LEAST_SEQUENCES = 4
"""Sequences of a model with recurrent states, which take as much memory as thousands of tokens."""
# (states that are kept for rejected drafts, sequences that must have room with them): more than 4
# states slow each step down by a twentieth.
ROLLBACKS = ((4, 2 * LEAST_SEQUENCES), (2, LEAST_SEQUENCES))

# Clearing KV memory takes 0.3 s per GB of every cold load on a CPU. A large model takes longer to
# load anyway and more memory per token, so its share grows with its size.
CPU_POOL_BYTES = 128 * MIB
CPU_POOL_SHARE = 4

BATCH = 512
LARGE_BATCH = 2048
MAX_ENCODER_BATCH = 4096
"""Unless one text needs more: the buffers of an encoder grow with the square of its batch."""
# (context over which it applies, rows): longer prompts use a GPU better with larger batches.
GPU_BATCHES = ((32_768, 2048), (4_096, 1024), (0, BATCH))


@dataclass(frozen=True, slots=True)
class Context:
    """Context size of one sequence in tokens, and whether it was chosen automatically."""

    n_ctx: int
    automatic: bool


def choose_context(
    request: ModelRequest,
    config: SchedulerConfig,
    gpus: Sequence[Device],
    max_automatic: int | None = None,
) -> Context:
    """Return the context of the request or setting, else one by GPU memory up to `max_automatic`.

    It is at most the context that the model was trained with.
    """
    num_ctx = request.options.num_ctx
    if num_ctx is None and config.context_length > 0:
        num_ctx = config.context_length
    automatic = num_ctx is None
    if num_ctx is None:
        n_ctx = max(_tier(gpus, config.gpu_overhead), request.least_context)
    else:
        n_ctx = max(num_ctx, MIN_CONTEXT)
    if automatic and max_automatic is not None:
        n_ctx = min(n_ctx, max_automatic)
    if request.facts.n_ctx_train > 0:
        n_ctx = min(n_ctx, max(request.facts.n_ctx_train, MIN_CONTEXT))
    if request.max_context > 0:
        n_ctx = min(n_ctx, max(request.max_context, MIN_CONTEXT))
    return Context(n_ctx, automatic)


def max_context(request: ModelRequest, config: SchedulerConfig, n_ctx: int) -> int:
    """Return the context that a load may give a request: `n_ctx`, which it has, unless automatic.

    An automatic one may grow to that which the model was trained with.
    """
    if request.options.num_ctx is not None or config.context_length > 0:
        return n_ctx
    limit = request.max_context or request.facts.n_ctx_train
    return max(n_ctx, min(limit, request.facts.n_ctx_train))


def grown_context(n_ctx: int, n_tokens: int, max_n_ctx: int) -> int:
    """Return the context that `n_ctx` grows to for so many tokens: doubled, up to `max_n_ctx`.

    Doubling bounds the number of loads that a growing conversation causes.
    """
    while n_ctx < n_tokens:
        n_ctx *= 2
    return min(n_ctx, max_n_ctx)


def lower_tier(n_ctx: int) -> int | None:
    """Return the largest automatic context below `n_ctx`, None if there is none."""
    return next((tier for _, tier in CONTEXT_TIERS if tier < n_ctx), None)


def choose_sequences(
    facts: ModelFacts, config: SchedulerConfig, *, n_batch: int, all_on_gpu: bool
) -> int:
    """Return the maximum of sequences that run at once; each takes a row of every batch."""
    if config.num_parallel > 0:
        return min(config.num_parallel, MAX_SEQUENCES)
    if facts.is_embedding:
        return min(EMBEDDING_SEQUENCES, n_batch)
    return min(GPU_SEQUENCES if all_on_gpu else CPU_SEQUENCES, n_batch)


def least_states(facts: ModelFacts, config: SchedulerConfig) -> int:
    """Return how many recurrent states a model has at least, all layers of one counted as one."""
    if not facts.state_bytes:
        return 0
    return min(config.num_parallel, MAX_SEQUENCES) if config.num_parallel > 0 else LEAST_SEQUENCES


def share_states(
    facts: ModelFacts, config: SchedulerConfig, n_seq: int, *, spare_bytes: int
) -> tuple[int, int]:
    """Return how many of `n_seq` sequences run at once, and how many states each may roll back.

    `spare_bytes` are there for more than `least_states`.
    """
    least = least_states(facts, config)
    if not least:
        return n_seq, 0
    n_states = least + max(0, spare_bytes) // max(1, sum(facts.state_bytes))
    promised = least if config.num_parallel > 0 else 0
    fitting = (n for n, wanted in ROLLBACKS if (promised or wanted) * (1 + n) <= n_states)
    n_rollback = next(fitting, 0)
    return min(n_seq, n_states // (1 + n_rollback)), n_rollback


def min_cells(context: Context, config: SchedulerConfig) -> int:
    """Return the minimum of KV cells: one full context, or one for each of `num_parallel`."""
    return context.n_ctx * min(max(config.num_parallel, 1), MAX_SEQUENCES)


def batch_choices(
    request: ModelRequest, config: SchedulerConfig, context: Context, *, has_gpu: bool
) -> tuple[int, ...]:
    """Return batch sizes to try, the best first; the last one is used in any case."""
    facts, num_batch = request.facts, request.options.num_batch
    min_batch = max(1, min(config.num_parallel, MAX_SEQUENCES))
    if facts.is_embedding:
        whole_text = max(BATCH, longest_text(request, context.n_ctx))
        if num_batch is not None:
            return (max(whole_text, min(num_batch, MAX_ENCODER_BATCH)),)
        return (LARGE_BATCH, whole_text) if has_gpu else (whole_text,)
    if num_batch is not None:
        return (max(num_batch, min_batch),)
    if not has_gpu:
        return (max(BATCH, min_batch),)
    cells = min_cells(context, config)
    return tuple(max(rows, min_batch) for over, rows in GPU_BATCHES if cells > over) or (BATCH,)


def longest_text(request: ModelRequest, n_ctx: int) -> int:
    """Return the most tokens of a text that are embedded, given the context of its request.

    An embedding model computes a text in one batch, so a longer one would have to be cut. It does
    not depend on the batch of the runner that happens to be loaded.
    """
    if not request.facts.is_embedding:
        return n_ctx
    return min(n_ctx, max(request.options.num_batch or 0, LARGE_BATCH))


def cpu_pool_bytes(facts: ModelFacts) -> int:
    """Return the bytes that the KV cache of a model on the CPU may grow to."""
    return max(CPU_POOL_BYTES, facts.total_bytes // CPU_POOL_SHARE)


def pool_cells(facts: ModelFacts, shape: Shape, *, n_ctx: int, n_seq: int, spare_bytes: int) -> int:
    """Return the number of KV cells when `spare_bytes` may be added to `shape`."""
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
