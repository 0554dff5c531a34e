"""Tiny text models, one builder per architecture, in llama.cpp's form."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.support.families.builder import write_family
from tests.support.legacy.plain_file import N_TOKENS, PlainFile, i32s, ones, read
from tests.support.tiny_models import Array, normal

N_EMBD, N_HEADS, N_KV, N_FF, N_CTX = 32, 4, 2, 64, 512
HEAD = N_EMBD // N_HEADS
N_LAYERS = 2
N_WIDE = 64
"""Width of the models of `declared`."""
EPS = 1e-5
Draw = Callable[..., Array]
EXPERTS = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32}
"""The keys of the experts that `experts(4, 32)` has."""


def begin(architecture: str, **values: object) -> PlainFile:
    """Return the keys that all have."""
    file = PlainFile()
    file.set(general__architecture=architecture, general__file_type=0)
    common = {
        "context_length": N_CTX,
        "embedding_length": N_EMBD,
        "block_count": N_LAYERS,
        "feed_forward_length": N_FF,
        "attention.head_count": N_HEADS,
        "attention.head_count_kv": N_KV,
        "attention.layer_norm_rms_epsilon": EPS,
    }
    common |= {name.replace("__", "."): value for name, value in values.items()}
    return file.update({k: v for k, v in common.items() if v is not None}, f"{architecture}.")


def matrices(draw: Draw, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, Array]]:
    """Draw tensors of `shapes`, with the fastest dimension last: norms of one, other of a width."""
    for name, shape in shapes.items():
        if len(shape) == 1 and name.endswith("norm.weight"):
            yield name, ones(shape[0]) + np.float32(0.05) * draw(*shape)
        elif len(shape) == 1:
            yield name, np.float32(0.1) * draw(*shape)
        else:
            yield name, draw(*shape) * np.float32(2 / math.sqrt(shape[-1]))


def declared(architecture: str) -> PlainFile:
    """Return the model of `architecture` that `make test-families` measures."""
    with TemporaryDirectory() as folder:
        return read(write_family(Path(folder) / "model.gguf", architecture))


def attention(
    *, head: int = HEAD, biased: bool = False, q_scale: int = 1
) -> dict[str, tuple[int, ...]]:
    """Return the tensors of an attention with one projection each."""
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (N_EMBD,),
        "attn_q.weight": (q_scale * N_HEADS * head, N_EMBD),
        "attn_k.weight": (N_KV * head, N_EMBD),
        "attn_v.weight": (N_KV * head, N_EMBD),
        "attn_output.weight": (N_EMBD, N_HEADS * head),
    }
    if biased:
        shapes |= {
            "attn_q.bias": (N_HEADS * head,),
            "attn_k.bias": (N_KV * head,),
            "attn_v.bias": (N_KV * head,),
        }
    return shapes


def qk_norms(size: int = HEAD) -> dict[str, tuple[int, ...]]:
    """Return the norms of queries and keys."""
    return {"attn_q_norm.weight": (size,), "attn_k_norm.weight": (size,)}


def feed_forward(n_ff: int = N_FF) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a gated layer."""
    return {
        "ffn_norm.weight": (N_EMBD,),
        "ffn_gate.weight": (n_ff, N_EMBD),
        "ffn_up.weight": (n_ff, N_EMBD),
        "ffn_down.weight": (N_EMBD, n_ff),
    }


def experts(n: int, n_ff: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer of experts."""
    return {
        "ffn_gate_inp.weight": (n, N_EMBD),
        "ffn_gate_exps.weight": (n, n_ff, N_EMBD),
        "ffn_up_exps.weight": (n, n_ff, N_EMBD),
        "ffn_down_exps.weight": (n, N_EMBD, n_ff),
    }


def finish(
    file: PlainFile,
    layers: list[dict[str, tuple[int, ...]]],
    *,
    extra: Mapping[str, tuple[int, ...]] | None = None,
    tied: bool = False,
    seed: int = 0,
) -> PlainFile:
    """Add the tensors of `layers`, of the embedding and of the output, and `extra` ones."""
    draw = normal(seed)
    # Rows of an embedding are not mixed, so they keep their scale.
    file.tensors["token_embd.weight"] = draw(N_TOKENS, N_EMBD)
    for number, shapes in enumerate(layers):
        for name, tensor in matrices(draw, shapes):
            file.tensors[f"blk.{number}.{name}"] = tensor
    file.tensors |= matrices(draw, extra or {})
    file.tensors["output_norm.weight"] = ones(N_EMBD)
    if not tied:
        file.tensors["output.weight"] = draw(N_TOKENS, N_EMBD) / np.float32(math.sqrt(N_EMBD))
    return file


def _gemma3(architecture: str, **values: object) -> PlainFile:
    return begin(
        architecture,
        attention__key_length=16,
        attention__value_length=16,
        attention__sliding_window=16,
        attention__layer_norm_rms_epsilon=1e-6,
        rope__freq_base=1_000_000.0,
        rope__freq_base_swa=10_000.0,
        **values,
    )


def _gemma3_layer() -> dict[str, tuple[int, ...]]:
    post = {"post_attention_norm.weight": (N_EMBD,), "post_ffw_norm.weight": (N_EMBD,)}
    return {**attention(head=16), **qk_norms(16), **feed_forward(), **post}


def gemma3() -> PlainFile:
    """Gemma 3, which scales positions of its long context."""
    file = _gemma3(
        "gemma3", context_length=131072, rope__scaling__type="linear", rope__scaling__factor=8.0
    )
    return finish(file, [_gemma3_layer()] * N_LAYERS, tied=True)


def embeddinggemma() -> PlainFile:
    """EmbeddingGemma, with its dense layers."""
    n_layers = 6  # the sixth attends to all tokens
    file = _gemma3(
        "gemma-embedding",
        block_count=n_layers,
        pooling_type=1,
        dense_2_feat_in=N_EMBD,
        dense_2_feat_out=48,
        dense_3_feat_in=48,
        dense_3_feat_out=N_EMBD,
    )
    extra = {"dense_2.weight": (48, N_EMBD), "dense_3.weight": (N_EMBD, 48)}
    return finish(file, [_gemma3_layer()] * n_layers, extra=extra, tied=True)


def gemma3n() -> PlainFile:
    """Gemma 3n, whose layers have token embeddings of their own."""
    n_altup, inner, n_layers = 4, 16, 21
    file = begin(
        "gemma3n",
        block_count=n_layers,
        attention__sliding_window=16,
        attention__key_length=HEAD,
        attention__value_length=HEAD,
        rope__freq_base=1_000_000.0,
        embedding_length_per_layer_input=inner,
    )
    file.update(
        {
            "activation_sparsity_scale": [0.5] * n_layers,
            "altup.num_inputs": n_altup,
            "altup.active_idx": 0,
            "attention.shared_kv_layers": 1,
        },
        "gemma3n.",
    )
    layer = {
        **attention(),
        **qk_norms(),
        **feed_forward(),
        "post_attention_norm.weight": (N_EMBD,),
        "post_ffw_norm.weight": (N_EMBD,),
        "inp_gate.weight": (256, N_EMBD),
        "proj.weight": (N_EMBD, 256),
        "post_norm.weight": (N_EMBD,),
        "altup_correct_coef.weight": (n_altup, n_altup),
        "altup_correct_scale.weight": (N_EMBD,),
        "altup_predict_coef.weight": (n_altup * n_altup, n_altup),
        "altup_router.weight": (n_altup, N_EMBD),
        "altup_router_norm.weight": (N_EMBD,),
        "laurel_l.weight": (64, N_EMBD),
        "laurel_r.weight": (N_EMBD, 64),
        "laurel_post_norm.weight": (N_EMBD,),
    }
    extra = {
        "altup_proj.weight": (n_altup - 1, N_EMBD, N_EMBD),
        "altup_unembd_proj.weight": (n_altup - 1, N_EMBD, N_EMBD),
        "per_layer_token_embd.weight": (N_TOKENS, 256 * n_layers),
        "per_layer_model_proj.weight": (256 * n_layers, N_EMBD),
        "per_layer_proj_norm.weight": (256,),
    }
    return finish(file, [layer] * n_layers, extra=extra, tied=True)


def gptoss() -> PlainFile:
    """gpt-oss, with experts and sinks."""
    file = begin(
        "gpt-oss",
        attention__key_length=HEAD,
        attention__value_length=HEAD,
        attention__sliding_window=16,
        **EXPERTS,
        rope__freq_base=150_000.0,
        rope__scaling__type="yarn",
        rope__scaling__factor=32.0,
        rope__scaling__original_context_length=64,
    )
    layer = {
        **attention(biased=True),
        **experts(4, 32),
        "post_attention_norm.weight": (N_EMBD,),
        "attn_output.bias": (N_EMBD,),
        "attn_sinks.weight": (N_HEADS,),
        "ffn_gate_inp.bias": (4,),
        "ffn_gate_exps.bias": (4, 32),
        "ffn_up_exps.bias": (4, 32),
        "ffn_down_exps.bias": (4, N_EMBD),
    }
    return finish(file, [layer] * N_LAYERS)


def mistral3() -> PlainFile:
    """Mistral 3 with scaled positions, and attention by the distance."""
    file = begin(
        "mistral3",
        attention__key_length=HEAD,
        attention__value_length=HEAD,
        rope__dimension_count=HEAD,
        rope__freq_base=1_000_000.0,
        rope__scaling__type="yarn",
        rope__scaling__factor=8.0,
        rope__scaling__original_context_length=64,
        rope__scaling__yarn_beta_fast=30.0,
        rope__scaling__yarn_beta_slow=1.5,
        rope__scaling__yarn_log_multiplier=0.8,
        attention__temperature_scale=0.2,
    )
    return finish(file, [{**attention(), **feed_forward()}] * N_LAYERS)


def qwen2vl() -> PlainFile:
    """Qwen2-VL, whose positions have sections."""
    file = begin("qwen2vl", rope__freq_base=1_000_000.0)
    file.keys["qwen2vl.rope.dimension_sections"] = i32s(1, 2, 1, 0)
    return finish(file, [{**attention(biased=True), **feed_forward()}] * N_LAYERS)


_QWEN3VL_HEAD = 128


def _qwen3vl(architecture: str, **values: object) -> PlainFile:
    file = begin(
        architecture,
        attention__key_length=_QWEN3VL_HEAD,
        attention__value_length=_QWEN3VL_HEAD,
        rope__freq_base=5_000_000.0,
        n_deepstack_layers=1,
        **values,
    )
    file.keys[f"{architecture}.rope.dimension_sections"] = i32s(24, 20, 20, 0)
    return file


def qwen3vl() -> PlainFile:
    """Qwen3-VL with one layer that gets features of the image."""
    layer = {**attention(head=_QWEN3VL_HEAD), **qk_norms(_QWEN3VL_HEAD), **feed_forward()}
    return finish(_qwen3vl("qwen3vl"), [layer] * N_LAYERS)


def qwen3vlmoe() -> PlainFile:
    """Qwen3-VL with experts."""
    norm = {"ffn_norm.weight": (N_EMBD,)}
    attending = {**attention(head=_QWEN3VL_HEAD), **qk_norms(_QWEN3VL_HEAD)}
    layer = {**attending, **norm, **experts(4, 32)}
    return finish(_qwen3vl("qwen3vlmoe", **EXPERTS), [layer] * N_LAYERS)


_STATE, _GROUPS, _RANK, _KERNEL = 8, 2, 4, 4
_INNER = _RANK * _STATE


def _delta_net(*, split: bool) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer with gated delta rule."""
    keys = 2 * _GROUPS * _STATE
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (N_EMBD,),
        "post_attention_norm.weight": (N_EMBD,),
        "attn_qkv.weight": (keys + _INNER, N_EMBD),
        "attn_gate.weight": (_INNER, N_EMBD),
        "ssm_conv1d.weight": (keys + _INNER, _KERNEL),
        "ssm_dt.bias": (_RANK,),
        "ssm_a": (_RANK,),
        "ssm_norm.weight": (_STATE,),
        "ssm_out.weight": (N_EMBD, _INNER),
    }
    if split:
        return shapes | {"ssm_beta.weight": (_RANK, N_EMBD), "ssm_alpha.weight": (_RANK, N_EMBD)}
    return shapes | {"ssm_ba.weight": (2 * _RANK, N_EMBD)}


def _hybrid(architecture: str, **values: object) -> PlainFile:
    return begin(
        architecture,
        block_count=4,
        attention__key_length=16,
        attention__value_length=16,
        rope__dimension_count=8,
        rope__freq_base=1_000_000.0,
        ssm__conv_kernel=_KERNEL,
        ssm__inner_size=_INNER,
        ssm__state_size=_STATE,
        ssm__time_step_rank=_RANK,
        ssm__group_count=_GROUPS,
        full_attention_interval=4,
        **values,
    )


def _full_attention() -> dict[str, tuple[int, ...]]:
    post = {"post_attention_norm.weight": (N_EMBD,)}
    return {**attention(head=16, q_scale=2), **qk_norms(16), **post}


def qwen3next() -> PlainFile:
    """Qwen3-Next: three recurrent layers, then one with attention, all with experts."""
    file = _hybrid("qwen3next", **EXPERTS, expert_shared_feed_forward_length=32)
    shared: dict[str, tuple[int, ...]] = {
        **experts(4, 32),
        "ffn_gate_inp_shexp.weight": (N_EMBD,),
        "ffn_gate_shexp.weight": (32, N_EMBD),
        "ffn_up_shexp.weight": (32, N_EMBD),
        "ffn_down_shexp.weight": (N_EMBD, 32),
    }
    recurrent = {**_delta_net(split=False), **shared}
    return finish(file, [recurrent] * 3 + [{**_full_attention(), **shared}])


def qwen35() -> PlainFile:
    """Qwen3.5: three recurrent layers, then one with attention."""
    file = _hybrid("qwen35")
    file.keys["qwen35.rope.dimension_sections"] = i32s(2, 1, 1, 0)
    gated = {k: shape for k, shape in feed_forward().items() if k != "ffn_norm.weight"}
    recurrent = {**_delta_net(split=True), **gated}
    return finish(file, [recurrent] * 3 + [{**_full_attention(), **gated}])


def lfm2() -> PlainFile:
    """LFM2: a layer that convolves, and one with attention."""
    file = begin("lfm2", shortconv__l_cache=3, attention__head_count_kv=[0, N_KV])
    convolution: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (N_EMBD,),
        "shortconv.conv.weight": (N_EMBD, 3),
        "shortconv.in_proj.weight": (3 * N_EMBD, N_EMBD),
        "shortconv.out_proj.weight": (N_EMBD, N_EMBD),
    }
    attending = {**attention(), **qk_norms()}
    layers = [{**convolution, **feed_forward()}, {**attending, **feed_forward()}]
    finish(file, layers, tied=True)
    file.tensors["token_embd_norm.weight"] = file.tensors.pop("output_norm.weight")
    return file.set(tokenizer__ggml__pre="lfm2")


def olmo2() -> PlainFile:
    """OLMo 3 as llama.cpp reads it: an OLMo 2 with a sliding window."""
    file = begin("olmo2", attention__sliding_window=16, rope__freq_base=500_000.0)
    layer = {**attention(), **feed_forward()}
    del layer["attn_norm.weight"], layer["ffn_norm.weight"]
    layer |= {
        "attn_q_norm.weight": (N_EMBD,),
        "attn_k_norm.weight": (N_KV * HEAD,),
        "post_attention_norm.weight": (N_EMBD,),
        "post_ffw_norm.weight": (N_EMBD,),
    }
    return finish(file, [layer] * N_LAYERS)


def deepseek2() -> PlainFile:
    """GLM-4.7-Flash as llama.cpp reads it: DeepSeek 2 with latent attention."""
    rank, rotated, head = 16, 4, 12
    file = begin(
        "deepseek2",
        leading_dense_block_count=1,
        attention__head_count_kv=1,
        attention__q_lora_rank=8,
        attention__kv_lora_rank=rank,
        attention__key_length=rank + rotated,
        attention__value_length=rank,
        attention__key_length_mla=head,
        attention__value_length_mla=head,
        rope__dimension_count=rotated,
        **EXPERTS,
        expert_shared_count=1,
        expert_group_count=1,
        expert_group_used_count=1,
        expert_weights_norm=True,
        expert_weights_scale=1.8,
        expert_gating_func=2,
    )
    latent: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (N_EMBD,),
        "attn_q_a_norm.weight": (8,),
        "attn_kv_a_norm.weight": (rank,),
        "attn_q_a.weight": (8, N_EMBD),
        "attn_q_b.weight": (N_HEADS * head, 8),
        "attn_kv_a_mqa.weight": (rank + rotated, N_EMBD),
        "attn_k_b.weight": (N_HEADS, rank, head - rotated),
        "attn_v_b.weight": (N_HEADS, head, rank),
        "attn_output.weight": (N_EMBD, N_HEADS * head),
    }
    routed = {
        "ffn_norm.weight": (N_EMBD,),
        **experts(4, 32),
        "exp_probs_b.bias": (4,),
        "ffn_gate_shexp.weight": (32, N_EMBD),
        "ffn_up_shexp.weight": (32, N_EMBD),
        "ffn_down_shexp.weight": (N_EMBD, 32),
    }
    return finish(file, [{**latent, **feed_forward()}, {**latent, **routed}])


def llama4() -> PlainFile:
    """Llama 4: a layer without experts, and one with."""
    file = begin(
        "llama4",
        block_count=4,  # the fourth has no rotary embedding
        feed_forward_length=96,
        expert_feed_forward_length=48,
        expert_count=4,
        expert_used_count=1,
        interleave_moe_layer_step=2,
        rope__dimension_count=HEAD,
        rope__freq_base=500_000.0,
    )
    routed = {
        "ffn_norm.weight": (N_EMBD,),
        **experts(4, 48),
        "ffn_gate_shexp.weight": (48, N_EMBD),
        "ffn_up_shexp.weight": (48, N_EMBD),
        "ffn_down_shexp.weight": (N_EMBD, 48),
    }
    dense = {**attention(), **feed_forward(96)}
    return finish(file, [dense, {**attention(), **routed}] * 2)


def laguna() -> PlainFile:
    """Laguna: a layer without experts, and one with; a sliding window in the second."""
    file = begin(
        "laguna",
        attention__head_count=[N_HEADS, N_HEADS],
        attention__key_length=HEAD,
        attention__value_length=HEAD,
        attention__sliding_window=16,
        attention__sliding_window_pattern=[False, True],
        rope__dimension_count=HEAD // 2,
        rope__dimension_count_swa=HEAD,
        rope__freq_base=500_000.0,
        rope__freq_base_swa=10_000.0,
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=128,
        rope__scaling__yarn_beta_fast=32.0,
        rope__scaling__yarn_beta_slow=1.0,
        leading_dense_block_count=1,
        expert_shared_feed_forward_length=48,
        expert_shared_count=1,
        expert_weights_norm=True,
        expert_weights_scale=2.5,
        expert_gating_func=2,
        **EXPERTS,
    )
    gated = {**attention(), **qk_norms(), "attn_gate.weight": (N_HEADS, N_EMBD)}
    routed = {
        "ffn_norm.weight": (N_EMBD,),
        **experts(4, 32),
        "exp_probs_b.bias": (4,),
        "ffn_gate_shexp.weight": (48, N_EMBD),
        "ffn_up_shexp.weight": (48, N_EMBD),
        "ffn_down_shexp.weight": (N_EMBD, 48),
    }
    return finish(file, [{**gated, **feed_forward()}, {**gated, **routed}])


def gemma4() -> PlainFile:
    """Gemma 4: a layer with a window, and one that attends to all, both with experts."""
    file = begin(
        "gemma4",
        attention__key_length=16,
        attention__value_length=16,
        attention__key_length_swa=HEAD,
        attention__value_length_swa=HEAD,
        attention__sliding_window=16,
        attention__sliding_window_pattern=[True, False],
        attention__layer_norm_rms_epsilon=1e-6,
        rope__dimension_count=16,
        rope__dimension_count_swa=HEAD,
        rope__freq_base=1_000_000.0,
        rope__freq_base_swa=10_000.0,
        embedding_length_per_layer_input=8,
        final_logit_softcapping=30.0,
        **EXPERTS,
    )
    file.set(tokenizer__ggml__model="gemma4", tokenizer__ggml__pre="gemma4")
    file.set(tokenizer__ggml__merges=["t h", "th e"])
    norms = ("post_attention_norm", "post_ffw_norm", "post_norm", "pre_ffw_norm_2")
    more = {f"{name}.weight": (N_EMBD,) for name in (*norms, "post_ffw_norm_1", "post_ffw_norm_2")}
    common: dict[str, tuple[int, ...]] = {
        **feed_forward(),
        **experts(4, 32),
        **more,
        "ffn_gate_inp.scale": (N_EMBD,),
        "ffn_down_exps.scale": (4,),
        "inp_gate.weight": (8, N_EMBD),
        "proj.weight": (N_EMBD, 8),
        "layer_output_scale.weight": (1,),
    }
    layers = [{**attention(head=head), **qk_norms(head), **common} for head in (HEAD, 16)]
    extra = {
        "rope_freqs.weight": (8,),
        "per_layer_token_embd.weight": (N_TOKENS, 8 * N_LAYERS),
        "per_layer_model_proj.weight": (8 * N_LAYERS, N_EMBD),
        "per_layer_proj_norm.weight": (8,),
    }
    finish(file, layers, extra=extra, tied=True)
    file.tensors["rope_freqs.weight"] = np.ones(8, np.float32)
    for name, tensor in file.tensors.items():
        if name.endswith(("scale", "scale.weight")):
            file.tensors[name] = 1 + tensor
    return file


def glm4() -> PlainFile:
    """GLM-OCR as llama.cpp reads it: GLM 4 with sections of positions."""
    file = begin(
        "glm4",
        attention__key_length=HEAD,
        attention__value_length=HEAD,
        rope__dimension_count=HEAD,
        rope__freq_base=10_000.0,
    )
    file.keys["glm4.rope.dimension_sections"] = i32s(1, 2, 1, 0)
    file.set(tokenizer__ggml__pre="chatglm-bpe")
    layer: dict[str, tuple[int, ...]] = {
        **attention(),
        "post_attention_norm.weight": (N_EMBD,),
        "ffn_norm.weight": (N_EMBD,),
        "ffn_up.weight": (2 * N_FF, N_EMBD),
        "ffn_down.weight": (N_EMBD, N_FF),
        "post_ffw_norm.weight": (N_EMBD,),
    }
    return finish(file, [layer] * N_LAYERS)
