"""Estimate the memory of a model from the numbers in its file; pure functions.

Estimates are used for placement before the load; `/api/ps` reports measured sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runners.host.model_request import ModelFacts
from runners.protocol.load_spec import CacheType, FlashAttention

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# Bytes of a block of 32 elements.
BLOCK_BYTES = {
    CacheType.F32: 128,
    CacheType.F16: 64,
    CacheType.BF16: 64,
    CacheType.Q8_0: 34,
    CacheType.Q5_1: 24,
    CacheType.Q5_0: 22,
    CacheType.Q4_1: 20,
    CacheType.Q4_0: 18,
    CacheType.IQ4_NL: 18,
}
BLOCK_ELEMENTS = 32
UNQUANTIZED = (CacheType.F32, CacheType.F16, CacheType.BF16)

# Activations that a compute graph holds at once, in multiples of n_embd per row.
LIVE_ACTIVATIONS = 8
FLOAT_BYTES = 4
# llama.cpp pads contexts to multiples of this.
CELL_STEP = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters of a context that its memory depends on.

    `n_states` counts the recurrent states of all sequences, in models that have some.
    """

    n_cells: int
    n_batch: int
    cache_type: CacheType = CacheType.F16
    flash_attention: FlashAttention = FlashAttention.AUTO
    n_states: int = 0


def fitting_cache_type(
    facts: ModelFacts, cache_type: CacheType, flash_attention: FlashAttention
) -> CacheType:
    """Return `cache_type`, or F16 where llama.cpp cannot quantize the KV cache of this model.

    A quantized cache needs fused attention, and heads that are whole blocks.
    """
    has_blocks = not (facts.head_dim_k % BLOCK_ELEMENTS or facts.head_dim_v % BLOCK_ELEMENTS)
    fits = has_blocks and flash_attention is not FlashAttention.OFF
    return cache_type if fits or cache_type in UNQUANTIZED else CacheType.F16


def kv_cell_bytes(facts: ModelFacts, cache_type: CacheType) -> tuple[int, ...]:
    """Return the bytes that one cell of the KV cache takes in each layer."""
    block = BLOCK_BYTES[cache_type]
    per_head = (facts.head_dim_k + facts.head_dim_v) * block / BLOCK_ELEMENTS
    return tuple(round(heads * per_head) for heads in facts.kv_heads)


def memory_bytes(facts: ModelFacts, shape: Shape) -> tuple[int, ...]:
    """Return the bytes of each layer's KV cache and recurrent states."""
    cells = padded(shape.n_cells)
    states = facts.state_bytes or (0,) * facts.n_layers
    return tuple(
        cells * cell + shape.n_states * state
        for cell, state in zip(kv_cell_bytes(facts, shape.cache_type), states, strict=True)
    )


def compute_bytes(facts: ModelFacts, shape: Shape) -> int:
    """Return the bytes of compute buffers on each device that computes layers."""
    rows = shape.n_batch
    vocabulary = 0 if facts.is_embedding else facts.n_vocab
    floats = rows * (vocabulary + LIVE_ACTIVATIONS * facts.n_embd)
    attended = padded(shape.n_cells) if any(facts.kv_heads) else rows
    # llama.cpp holds the mask in float32, and in float16 for flash attention.
    mask = rows * attended * (FLOAT_BYTES + 2)
    scores = 0
    if shape.flash_attention is FlashAttention.OFF:
        scores = rows * attended * facts.n_heads * FLOAT_BYTES
    return floats * FLOAT_BYTES + mask + scores


def layer_sizes(facts: ModelFacts, shape: Shape) -> tuple[int, ...]:
    """Return the bytes of weights and memory of each layer, the output layer last."""
    memory = memory_bytes(facts, shape)
    layers = [weights + size for weights, size in zip(facts.layer_bytes, memory, strict=True)]
    return (*layers, facts.output_bytes)


def padded(n_cells: int) -> int:
    """Return `n_cells` rounded up as llama.cpp does."""
    return -(-n_cells // CELL_STEP) * CELL_STEP


def format_bytes(size: int) -> str:
    """Return `size` with a binary unit: "5.6 GiB"."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def ram_bytes(
    facts: ModelFacts,
    shape: Shape,
    *,
    gpu_layers: int,
    use_mmap: bool,
    has_cpu_projector: bool = False,
) -> int:
    """Return the bytes of this machine's memory that a load takes and the system cannot reclaim.

    Mapped weights are not counted, as they are page cache. A projector on the CPU is never
    mapped, and its compute buffers take about half of its size.
    """
    on_machine = layer_sizes(facts, shape)[: max(0, facts.n_layers + 1 - gpu_layers)]
    size = sum(on_machine) if not use_mmap else sum(memory_bytes(facts, shape)[: len(on_machine)])
    if not use_mmap:
        size += facts.embedding_bytes
    if has_cpu_projector:
        size += facts.projector_bytes * 3 // 2
    return size + compute_bytes(facts, shape)


def total_bytes(sizes: Sequence[int], compute: int) -> int:
    """Return the bytes of a device that takes all of `sizes`."""
    return sum(sizes) + compute
