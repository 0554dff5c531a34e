"""Tiny models whose memory is not plain attention: a sliding window, a recurrent state, or both.

They share the vocabulary of `tiny_models.write_llama`, and never end by themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

N_HEADS = 4
N_KV_HEADS = 2
STATE, CONVOLVED = 8, 4
N_EXPERTS, N_EXPERTS_USED = 4, 2


@dataclass(frozen=True, slots=True)
class Size:
    """Width and layers of a model; `n_embd` is a multiple of 8."""

    n_embd: int = 32
    n_layers: int = 2

    @property
    def head_dim(self) -> int:
        return self.n_embd // N_HEADS

    @property
    def n_kv(self) -> int:
        return self.head_dim * N_KV_HEADS

    @property
    def n_ff(self) -> int:
        return 2 * self.n_embd

    @property
    def n_inner(self) -> int:
        return 2 * self.n_embd

    @property
    def time_rank(self) -> int:
        return self.n_embd // 8

    @property
    def ones(self) -> Array:
        return np.ones(self.n_embd, np.float32)


TINY = Size()
N_EMBD, HEAD_DIM, N_FF = TINY.n_embd, TINY.head_dim, TINY.n_ff


def write_gemma2(
    path: Path, *, window: int = 32, n_ctx: int = 1024, seed: int = 0, size: Size = TINY
) -> Path:
    """Write a model of which every other layer sees only the last `window` tokens."""
    writer, pieces = _begin("gemma2", n_ctx, size)
    _add_attention(writer, size, N_KV_HEADS)
    writer.add_sliding_window(window)
    writer.add_attn_logit_softcapping(50.0)
    writer.add_final_logit_softcapping(30.0)
    draw = normal(seed)
    # The layer that reads tokens is the one that writes them.
    writer.add_tensor("token_embd.weight", output_layer(draw, pieces, size.n_embd, ends=False))
    for layer in range(size.n_layers):
        for name, tensor in llama_layer(draw, size.n_embd, size.n_kv, size.n_ff):
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
        for name in ("post_attention_norm", "post_ffw_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", 10 * size.ones)
    writer.add_tensor("output_norm.weight", size.ones)
    return write_file(writer, path)


def write_gpt_oss(
    path: Path, *, window: int = 32, n_ctx: int = 1024, seed: int = 0, size: Size = TINY
) -> Path:
    """Write a model with experts and attention sinks, and a window in every other layer."""
    writer, pieces = _begin("gpt-oss", n_ctx, size)
    _add_attention(writer, size, N_KV_HEADS)
    writer.add_sliding_window(window)
    writer.add_expert_count(N_EXPERTS)
    writer.add_expert_used_count(N_EXPERTS_USED)
    writer.add_expert_feed_forward_length(size.n_ff)
    writer.add_rope_freq_base(150_000.0)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), size.n_embd))
    for layer in range(size.n_layers):
        for name, tensor in _expert_layer(draw, size):
            writer.add_tensor(f"blk.{layer}.{name}", tensor)
    _add_output(writer, draw, pieces, size)
    return write_file(writer, path)


def _expert_layer(draw: Callable[..., Array], size: Size) -> Iterator[tuple[str, Array]]:
    width, ff_width = np.float32(size.n_embd**0.5), np.float32(size.n_ff**0.5)
    for name, tensor in llama_layer(draw, size.n_embd, size.n_kv, size.n_ff):
        if name.startswith("attn"):
            yield f"{name}.weight", tensor
    yield "post_attention_norm.weight", size.ones
    yield "attn_sinks.weight", draw(N_HEADS)
    for name, n_out in (("q", size.n_embd), ("k", size.n_kv), ("v", size.n_kv)):
        yield f"attn_{name}.bias", 0.1 * draw(n_out)
    yield "attn_output.bias", 0.1 * draw(size.n_embd)
    yield "ffn_gate_inp.weight", draw(N_EXPERTS, size.n_embd) / width
    yield "ffn_gate_inp.bias", 0.1 * draw(N_EXPERTS)
    for name in ("gate", "up"):
        yield f"ffn_{name}_exps.weight", draw(N_EXPERTS, size.n_ff, size.n_embd) / width
        yield f"ffn_{name}_exps.bias", 0.1 * draw(N_EXPERTS, size.n_ff)
    yield "ffn_down_exps.weight", 2 * draw(N_EXPERTS, size.n_embd, size.n_ff) / ff_width
    yield "ffn_down_exps.bias", 0.1 * draw(N_EXPERTS, size.n_embd)


def write_mamba(path: Path, *, n_ctx: int = 1024, seed: int = 0, size: Size = TINY) -> Path:
    """Write a model that keeps one state per sequence, whatever its length."""
    writer, pieces = _begin("mamba", n_ctx, size)
    _add_recurrence(writer, size)
    writer.add_head_count(0)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), size.n_embd))
    for layer in range(size.n_layers):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", size.ones)
        for name, tensor in _recurrent_layer(draw, size):
            writer.add_tensor(f"blk.{layer}.{name}", tensor)
    _add_output(writer, draw, pieces, size)
    return write_file(writer, path)


def write_jamba(path: Path, *, n_ctx: int = 1024, seed: int = 0, size: Size = TINY) -> Path:
    """Write a model of which the first half of the layers is recurrent, and the other attends."""
    n_recurrent = size.n_layers // 2
    writer, pieces = _begin("jamba", n_ctx, size)
    _add_recurrence(writer, size)
    n_kv_heads = [0] * n_recurrent + [N_KV_HEADS] * (size.n_layers - n_recurrent)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(n_kv_heads)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), size.n_embd))
    common = {"attn_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"}
    for layer in range(size.n_layers):
        for name, tensor in llama_layer(draw, size.n_embd, size.n_kv, size.n_ff):
            if layer >= n_recurrent or name in common:
                writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
    for layer in range(n_recurrent):
        for name, tensor in _recurrent_layer(draw, size):
            writer.add_tensor(f"blk.{layer}.{name}", tensor)
        for name, width in (("dt", size.time_rank), ("b", STATE), ("c", STATE)):
            writer.add_tensor(f"blk.{layer}.ssm_{name}_norm.weight", np.ones(width, np.float32))
    _add_output(writer, draw, pieces, size)
    return write_file(writer, path)


def _begin(architecture: str, n_ctx: int, size: Size) -> tuple[GGUFWriter, list[Piece]]:
    pieces = list(llama_pieces())
    writer = GGUFWriter(None, architecture)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(size.n_embd)
    writer.add_block_count(size.n_layers)
    writer.add_feed_forward_length(size.n_ff)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(pieces))
    add_sentencepiece(writer, pieces)
    return writer, pieces


def _add_attention(writer: GGUFWriter, size: Size, n_kv_heads: int) -> None:
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(n_kv_heads)
    writer.add_key_length(size.head_dim)
    writer.add_value_length(size.head_dim)


def _add_recurrence(writer: GGUFWriter, size: Size) -> None:
    writer.add_ssm_conv_kernel(CONVOLVED)
    writer.add_ssm_inner_size(size.n_inner)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(size.time_rank)


def _add_output(
    writer: GGUFWriter, draw: Callable[..., Array], pieces: list[Piece], size: Size
) -> None:
    writer.add_tensor("output_norm.weight", size.ones)
    writer.add_tensor("output.weight", output_layer(draw, pieces, size.n_embd, ends=False))


def _recurrent_layer(draw: Callable[..., Array], size: Size) -> Iterator[tuple[str, Array]]:
    """The state fades slowly, so that output depends on what was read long ago."""
    width = np.float32(size.n_embd**0.5)
    inner_width = np.float32(size.n_inner**0.5)
    yield "ssm_in.weight", draw(2 * size.n_inner, size.n_embd) / width
    yield "ssm_conv1d.weight", draw(size.n_inner, CONVOLVED) / np.float32(CONVOLVED**0.5)
    yield "ssm_conv1d.bias", 0.1 * draw(size.n_inner)
    yield "ssm_x.weight", draw(size.time_rank + 2 * STATE, size.n_inner) / inner_width
    yield "ssm_dt.weight", draw(size.n_inner, size.time_rank) / np.float32(size.time_rank**0.5)
    yield "ssm_dt.bias", draw(size.n_inner) - np.float32(3)
    yield "ssm_a", -np.exp(draw(size.n_inner, STATE) - np.float32(2))
    yield "ssm_d", draw(size.n_inner)
    yield "ssm_out.weight", 2 * draw(size.n_embd, size.n_inner) / inner_width
