"""The estimates are compared with numbers worked out by hand."""

from dataclasses import replace

import pytest

from runners.host.memory_estimate import (
    GIB,
    MIB,
    Shape,
    compute_bytes,
    format_bytes,
    kv_cell_bytes,
    layer_sizes,
    memory_bytes,
    padded,
    ram_bytes,
)
from runners.host.model_request import ModelFacts
from runners.protocol.load_spec import CacheType, FlashAttention
from tests.support.models import FACTS

# The published shape of Llama 3 8B.
LLAMA_8B = ModelFacts(
    layer_bytes=(130 * MIB,) * 32,
    embedding_bytes=280 * MIB,
    output_bytes=410 * MIB,
    n_embd=4096,
    n_vocab=128256,
    n_ctx_train=8192,
    n_heads=32,
    kv_heads=(8,) * 32,
    head_dim_k=128,
    head_dim_v=128,
)


def test_kv_cache_of_llama_3_8b_is_what_llama_cpp_reports() -> None:
    # llama.cpp reports "KV self size = 1024.00 MiB" for 8192 cells in f16.
    assert sum(memory_bytes(LLAMA_8B, Shape(8192, 512))) == 1024 * MIB


@pytest.mark.parametrize(
    ("cache_type", "expected"),
    [
        (CacheType.F32, 2 * (64 + 64) * 4),
        (CacheType.F16, 2 * (64 + 64) * 2),
        (CacheType.BF16, 2 * (64 + 64) * 2),
        (CacheType.Q8_0, 2 * 4 * 34),
        (CacheType.Q4_0, 2 * 4 * 18),
    ],
)
def test_kv_cell_counts_the_real_size_of_each_cache_type(
    cache_type: CacheType, expected: int
) -> None:
    assert kv_cell_bytes(FACTS, cache_type) == (expected, expected)


def test_layers_without_kv_heads_take_no_cache() -> None:
    """A hybrid model's recurrent layers must not be charged for attention they do not have."""
    assert kv_cell_bytes(replace(FACTS, kv_heads=(2, 0)), CacheType.F16) == (512, 0)


def test_cells_are_padded_as_llama_cpp_pads_them() -> None:
    assert [padded(1), padded(256), padded(257)] == [256, 256, 512]


def test_compute_memory_of_llama_3_8b_is_close_to_what_llama_cpp_reports() -> None:
    # llama.cpp reports a compute buffer of 258.5 MiB for this shape, nearly all of it logits.
    reported = 258.5 * MIB
    assert reported < compute_bytes(LLAMA_8B, Shape(8192, 512)) < 1.5 * reported


def test_compute_memory_of_an_embedding_model_has_no_logits() -> None:
    embedding = replace(LLAMA_8B, is_embedding=True)
    logits = 512 * 128256 * 4
    shape = Shape(8192, 512)
    assert compute_bytes(LLAMA_8B, shape) - compute_bytes(embedding, shape) == logits


def test_attention_that_is_not_fused_needs_memory_for_its_scores() -> None:
    fused, plain = Shape(4096, 512), Shape(4096, 512, flash_attention=FlashAttention.OFF)
    scores = 512 * 4096 * 32 * 4
    assert compute_bytes(LLAMA_8B, plain) - compute_bytes(LLAMA_8B, fused) == scores


def test_layer_sizes_are_weights_and_cache_and_end_with_the_output() -> None:
    assert layer_sizes(FACTS, Shape(1024, 512)) == (10 * MIB + MIB // 2,) * 2 + (6 * MIB,)


def test_mapped_weights_are_not_charged_to_the_host() -> None:
    shape = Shape(1024, 512)
    compute = compute_bytes(FACTS, shape)
    assert ram_bytes(FACTS, shape, gpu_layers=0, use_mmap=True) == MIB + compute
    assert ram_bytes(FACTS, shape, gpu_layers=0, use_mmap=False) == 31 * MIB + compute


def test_layers_on_gpus_are_not_charged_to_the_host() -> None:
    shape = Shape(1024, 512)
    compute = compute_bytes(FACTS, shape)
    assert ram_bytes(FACTS, shape, gpu_layers=2, use_mmap=True) == MIB // 2 + compute
    assert ram_bytes(FACTS, shape, gpu_layers=3, use_mmap=True) == compute


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * MIB, "5.0 MiB"), (6 * GIB, "6.0 GiB")],
)
def test_sizes_read_as_people_write_them(size: int, text: str) -> None:
    assert format_bytes(size) == text
