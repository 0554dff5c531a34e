"""Tiny models whose memory is not plain attention: a sliding window, a recurrent state, or both.

They share the vocabulary of `tiny_models.write_llama`, and never end by themselves.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, LlamaFileType

from tests.support.tiny_models import (
    Array,
    Piece,
    add_sentencepiece,
    llama_layer,
    llama_pieces,
    normal,
    output_layer,
    write_file,
)

N_EMBD = 32
N_HEADS = 4
N_KV_HEADS = 2
HEAD_DIM = N_EMBD // N_HEADS
N_FF = 2 * N_EMBD
N_INNER = 2 * N_EMBD
STATE, CONVOLVED, TIME_RANK = 8, 4, 4
ONES = np.ones(N_EMBD, np.float32)


def write_gemma2(path: Path, *, window: int = 32, n_ctx: int = 1024, seed: int = 0) -> Path:
    """Write a model of which every other layer sees only the last `window` tokens."""
    writer, pieces = _begin("gemma2", n_ctx, n_layers=2)
    _add_attention(writer, N_KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_sliding_window(window)
    writer.add_attn_logit_softcapping(50.0)
    writer.add_final_logit_softcapping(30.0)
    draw = normal(seed)
    # The layer that reads tokens is the one that writes them.
    writer.add_tensor("token_embd.weight", output_layer(draw, pieces, N_EMBD, ends=False))
    for layer in range(2):
        for name, tensor in llama_layer(draw, N_EMBD, HEAD_DIM * N_KV_HEADS, N_FF):
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
        for name in ("post_attention_norm", "post_ffw_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", 10 * ONES)
    writer.add_tensor("output_norm.weight", ONES)
    return write_file(writer, path)


def write_mamba(path: Path, *, n_ctx: int = 1024, seed: int = 0) -> Path:
    """Write a model that keeps one state per sequence, whatever its length."""
    writer, pieces = _begin("mamba", n_ctx, n_layers=2)
    _add_recurrence(writer)
    writer.add_head_count(0)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), N_EMBD))
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", ONES)
        for name, tensor in _recurrent_layer(draw):
            writer.add_tensor(f"blk.{layer}.{name}", tensor)
    _add_output(writer, draw, pieces)
    return write_file(writer, path)


def write_jamba(path: Path, *, n_ctx: int = 1024, seed: int = 0) -> Path:
    """Write a model of one recurrent layer and one with attention."""
    writer, pieces = _begin("jamba", n_ctx, n_layers=2)
    _add_recurrence(writer)
    _add_attention(writer, [0, N_KV_HEADS])
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), N_EMBD))
    for layer in range(2):
        for name, tensor in llama_layer(draw, N_EMBD, HEAD_DIM * N_KV_HEADS, N_FF):
            if layer == 1 or name in {"attn_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"}:
                writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
    for name, tensor in _recurrent_layer(draw):
        writer.add_tensor(f"blk.0.{name}", tensor)
    for name, size in (("dt", TIME_RANK), ("b", STATE), ("c", STATE)):
        writer.add_tensor(f"blk.0.ssm_{name}_norm.weight", np.ones(size, np.float32))
    _add_output(writer, draw, pieces)
    return write_file(writer, path)


def _begin(architecture: str, n_ctx: int, *, n_layers: int) -> tuple[GGUFWriter, list[Piece]]:
    pieces = list(llama_pieces())
    writer = GGUFWriter(None, architecture)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(N_FF)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(pieces))
    add_sentencepiece(writer, pieces)
    return writer, pieces


def _add_attention(writer: GGUFWriter, n_kv_heads: int | list[int]) -> None:
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(n_kv_heads)


def _add_recurrence(writer: GGUFWriter) -> None:
    writer.add_ssm_conv_kernel(CONVOLVED)
    writer.add_ssm_inner_size(N_INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(TIME_RANK)


def _add_output(writer: GGUFWriter, draw: Callable[..., Array], pieces: list[Piece]) -> None:
    writer.add_tensor("output_norm.weight", ONES)
    writer.add_tensor("output.weight", output_layer(draw, pieces, N_EMBD, ends=False))


def _recurrent_layer(draw: Callable[..., Array]) -> Iterator[tuple[str, Array]]:
    """The state fades slowly, so that output depends on what was read long ago."""
    width = np.float32(N_EMBD**0.5)
    inner_width = np.float32(N_INNER**0.5)
    yield "ssm_in.weight", draw(2 * N_INNER, N_EMBD) / width
    yield "ssm_conv1d.weight", draw(N_INNER, CONVOLVED) / np.float32(CONVOLVED**0.5)
    yield "ssm_conv1d.bias", 0.1 * draw(N_INNER)
    yield "ssm_x.weight", draw(TIME_RANK + 2 * STATE, N_INNER) / inner_width
    yield "ssm_dt.weight", draw(N_INNER, TIME_RANK) / np.float32(TIME_RANK**0.5)
    yield "ssm_dt.bias", draw(N_INNER) - np.float32(3)
    yield "ssm_a", -np.exp(draw(N_INNER, STATE) - np.float32(2))
    yield "ssm_d", draw(N_INNER)
    yield "ssm_out.weight", 2 * draw(N_EMBD, N_INNER) / inner_width
