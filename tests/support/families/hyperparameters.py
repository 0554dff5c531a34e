"""Hyperparameters of architectures: the keys that published GGUF files have, with tiny numbers.

Keys stand without the name of the architecture before them. Which an architecture needs, and what
they mean, is written by llama.cpp's converter (`convert_hf_to_gguf.py`, `gguf-py`).
"""

from collections.abc import Mapping
from typing import Final

Value = int | float | bool | str | list[int] | list[float] | list[bool]
Keys = Mapping[str, Value]

N_EMBD, N_HEADS, N_KV_HEADS, HEAD_DIM, N_FF = 64, 4, 2, 16, 96
_BASE: Final[Keys] = {
    "context_length": 512,
    "embedding_length": N_EMBD,
    "block_count": 2,
    "feed_forward_length": N_FF,
    "attention.head_count": N_HEADS,
    "attention.head_count_kv": N_KV_HEADS,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "attention.layer_norm_epsilon": 1e-5,
    "rope.dimension_count": HEAD_DIM,
}
_HEADS: Final[Keys] = {"attention.key_length": HEAD_DIM, "attention.value_length": HEAD_DIM}
_EXPERTS: Final[Keys] = {
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 32,
}
_SHARED: Final[Keys] = {"expert_shared_count": 1, "expert_shared_feed_forward_length": 32}
_ALL_HEADS: Final[Keys] = {"attention.head_count_kv": N_HEADS}
_WINDOW: Final[Keys] = {"attention.sliding_window": 32}
_SSM: Final[Keys] = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 2 * N_EMBD,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 4,
}
_SSM_GROUPS: Final[Keys] = {**_SSM, "ssm.time_step_rank": 8, "ssm.group_count": 2}
_LATENT: Final[Keys] = {
    "attention.head_count_kv": 1,
    "attention.q_lora_rank": 32,
    "attention.kv_lora_rank": 32,
    "attention.key_length": 48,
    "attention.value_length": 32,
    "attention.key_length_mla": 32,
    "attention.value_length_mla": 16,
    "rope.dimension_count": 16,
}
_SIGMOID: Final[Keys] = {"expert_gating_func": 2, "expert_weights_norm": True}
_SECTIONS: Final[Keys] = {"rope.dimension_sections": [4, 2, 2, 0]}
_DELTA_NET: Final[Keys] = {
    **_HEADS,
    **_SSM_GROUPS,
    "block_count": 4,
    "ssm.inner_size": 64,
    "ssm.time_step_rank": 4,
    "ssm.group_count": 2,
    "full_attention_interval": 4,
}
_ENCODER: Final[Keys] = {**_ALL_HEADS, "attention.causal": False, "pooling_type": 1}

HYPERPARAMETERS: Final[Mapping[str, Keys]] = {
    "llama": {},
    "llama4": {
        **_HEADS,
        **_EXPERTS,
        "block_count": 4,
        "interleave_moe_layer_step": 2,
        "attention.chunk_size": 64,
    },
    "deci": {"attention.head_count": [4, 4], "feed_forward_length": [N_FF, N_FF]},
    "mistral3": {**_HEADS, "attention.temperature_scale": 0.1},
    "qwen2": {},
    "qwen2moe": {**_EXPERTS, **_SHARED},
    "qwen2vl": _SECTIONS,
    "qwen3": _HEADS,
    "qwen3moe": {**_HEADS, **_EXPERTS},
    "qwen3vl": {**_HEADS, **_SECTIONS, "n_deepstack_layers": 0},
    "qwen3vlmoe": {**_HEADS, **_EXPERTS, **_SECTIONS, "n_deepstack_layers": 0},
    "qwen3next": {**_DELTA_NET, **_EXPERTS, **_SHARED},
    "qwen35": {**_DELTA_NET, **_SECTIONS},
    "qwen35moe": {**_DELTA_NET, **_EXPERTS, **_SHARED, **_SECTIONS},
    "gemma": _HEADS,
    "gemma2": {
        **_HEADS,
        **_WINDOW,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    "gemma3": {**_HEADS, **_WINDOW, "block_count": 6},
    "gemma3n": {
        **_HEADS,
        **_WINDOW,
        "block_count": 10,
        "altup.num_inputs": 4,
        "altup.active_idx": 0,
        "embedding_length_per_layer_input": 16,
        "attention.shared_kv_layers": 2,
        "attention.sliding_window_pattern": [True, True, True, True, False] * 2,
    },
    "gemma4": {
        **_HEADS,
        **_WINDOW,
        "attention.key_length_swa": HEAD_DIM,
        "attention.value_length_swa": HEAD_DIM,
        "attention.sliding_window_pattern": [True, False],
        "attention.shared_kv_layers": 0,
        "embedding_length_per_layer_input": 16,
        "rope.dimension_count_swa": HEAD_DIM,
        "final_logit_softcapping": 30.0,
    },
    "phi2": _ALL_HEADS,
    "phi3": {"rope.scaling.original_context_length": 512, "attention.sliding_window": 0},
    "phimoe": {**_EXPERTS, "rope.scaling.original_context_length": 512},
    "deepseek": {**_ALL_HEADS, **_EXPERTS, **_SHARED, "leading_dense_block_count": 1},
    "deepseek2": {
        **_LATENT,
        **_EXPERTS,
        **_SIGMOID,
        "expert_shared_count": 1,
        "expert_weights_scale": 2.5,
        "leading_dense_block_count": 1,
        "vocab_size": 0,
    },
    "gpt-oss": {**_HEADS, **_WINDOW, **_EXPERTS},
    "command-r": {"logit_scale": 0.0625},
    "cohere2": {**_HEADS, **_WINDOW, "logit_scale": 0.0625, "block_count": 4},
    "granite": {
        "attention.scale": 0.25,
        "embedding_scale": 2.0,
        "residual_scale": 0.5,
        "logit_scale": 4.0,
    },
    "granitemoe": {
        **_EXPERTS,
        "feed_forward_length": 32,
        "attention.scale": 0.25,
        "embedding_scale": 2.0,
        "residual_scale": 0.5,
        "logit_scale": 4.0,
    },
    "granitehybrid": {
        **_SSM_GROUPS,
        "attention.head_count_kv": [0, N_KV_HEADS],
        "attention.scale": 0.25,
        "embedding_scale": 2.0,
        "residual_scale": 0.5,
        "logit_scale": 4.0,
    },
    "olmo": {**_ALL_HEADS, "attention.clamp_kqv": 8.0},
    "olmo2": {},
    "olmoe": {**_ALL_HEADS, **_EXPERTS},
    "smollm3": {"block_count": 4},
    "falcon": {},
    "falcon-h1": {**_HEADS, **_SSM_GROUPS},
    "starcoder": _ALL_HEADS,
    "starcoder2": {},
    "gpt2": _ALL_HEADS,
    "gptneox": {**_ALL_HEADS, "use_parallel_residual": True},
    "stablelm": {"rope.dimension_count": 8},
    "nemotron": {},
    "nemotron_h": {
        **_SSM_GROUPS,
        **_HEADS,
        "block_count": 3,
        "attention.head_count_kv": [0, N_KV_HEADS, 0],
        "feed_forward_length": [0, 0, N_FF],
    },
    "nemotron_h_moe": {
        **_SSM_GROUPS,
        **_HEADS,
        **_EXPERTS,
        **_SHARED,
        **_SIGMOID,
        "block_count": 3,
        "attention.head_count_kv": [0, N_KV_HEADS, 0],
        "feed_forward_length": [0, 0, N_FF],
        "expert_weights_scale": 2.5,
        "moe_latent_size": 48,
    },
    "lfm2": {"shortconv.l_cache": 3, "attention.head_count_kv": [0, N_KV_HEADS]},
    "lfm2moe": {
        **_EXPERTS,
        "shortconv.l_cache": 3,
        "attention.head_count_kv": [0, N_KV_HEADS],
        "leading_dense_block_count": 1,
        "expert_gating_func": 2,
    },
    "glm4": {"rope.dimension_count": 8},
    "glm4moe": {
        **_HEADS,
        **_EXPERTS,
        **_SIGMOID,
        "block_count": 3,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.0,
        "leading_dense_block_count": 1,
        "nextn_predict_layers": 0,
    },
    "chatglm": {"rope.dimension_count": 8},
    "deepseek2-ocr": {
        **_ALL_HEADS,
        **_EXPERTS,
        "expert_shared_count": 1,
        "leading_dense_block_count": 1,
    },
    "laguna": {
        **_HEADS,
        **_EXPERTS,
        **_SIGMOID,
        **_WINDOW,
        "block_count": 4,
        "expert_shared_feed_forward_length": 32,
        "expert_weights_scale": 2.5,
        "leading_dense_block_count": 1,
        "rope.dimension_count_swa": HEAD_DIM,
    },
    "rwkv6": {
        "attention.head_count": 0,
        "attention.head_count_kv": 0,
        "wkv.head_size": 64,
        "time_mix_extra_dim": 8,
        "time_decay_extra_dim": 8,
        "token_shift_count": 2,
    },
    "rwkv7": {
        "attention.head_count": 0,
        "attention.head_count_kv": 0,
        "wkv.head_size": 64,
        "attention.decay_lora_rank": 8,
        "attention.iclr_lora_rank": 8,
        "attention.value_residual_mix_lora_rank": 8,
        "attention.gate_lora_rank": 8,
        "token_shift_count": 2,
    },
    "kimi-linear": {
        **_LATENT,
        **_EXPERTS,
        **_SIGMOID,
        "attention.head_count_kv": [0, 1],
        "ssm.conv_kernel": 4,
        "kda.head_dim": 16,
        "expert_shared_count": 1,
        "expert_weights_scale": 2.5,
        "leading_dense_block_count": 1,
    },
    "exaone": {},
    "exaone4": {**_HEADS, **_WINDOW, "block_count": 4},
    "hunyuan-dense": _HEADS,
    "hunyuan-moe": {
        **_HEADS,
        **_EXPERTS,
        "expert_shared_count": 1,
        "expert_shared_feed_forward_length": 32,
    },
    "seed_oss": _HEADS,
    "ernie4_5": {},
    "minicpm": {"embedding_scale": 2.0, "residual_scale": 0.5, "logit_scale": 4.0},
    "minicpm3": {
        **_ALL_HEADS,
        "attention.q_lora_rank": 32,
        "attention.kv_lora_rank": 32,
        "attention.key_length": 24,
        "rope.dimension_count": 8,
    },
    "minimax-m2": {**_HEADS, **_EXPERTS, **_SIGMOID},
    "internlm2": {},
    "baichuan": _ALL_HEADS,
    "bailingmoe2": {
        **_HEADS,
        **_EXPERTS,
        **_SIGMOID,
        **_SHARED,
        "expert_weights_scale": 2.5,
        "leading_dense_block_count": 1,
        "nextn_predict_layers": 0,
    },
    "mamba": {**_SSM, "attention.head_count": 0},
    "mamba2": {**_SSM_GROUPS, "attention.head_count": 0},
    "jamba": {**_SSM, **_EXPERTS, "attention.head_count_kv": [0, N_KV_HEADS]},
    "bert": _ENCODER,
    "nomic-bert": {**_ENCODER, "rope.freq_base": 1000.0},
    "nomic-bert-moe": {
        **_ENCODER,
        "rope.freq_base": 1000.0,
        "moe_every_n_layers": 2,
        "expert_count": 4,
        "expert_used_count": 2,
    },
    "jina-bert-v2": _ENCODER,
    "modern-bert": {**_ENCODER, **_WINDOW, "block_count": 3, "rope.freq_base_swa": 10000.0},
    "gemma-embedding": {**_HEADS, **_WINDOW, "block_count": 6, "pooling_type": 1},
}

_IM_END: Final = ("<|im_end|>",)
_END_OF_TEXT: Final = ("<|endoftext|>",)
_END_OF_TURN: Final = ("<end_of_turn>",)
END_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "llama4": ("<|eot|>",),
    "gemma": _END_OF_TURN,
    "gemma2": _END_OF_TURN,
    "gemma3": _END_OF_TURN,
    "gemma3n": _END_OF_TURN,
    "gemma4": ("<turn|>",),
    "phi3": ("<|end|>",),
    "phimoe": ("<|end|>",),
    "gpt-oss": ("<|return|>", "<|call|>"),
    "command-r": ("<|END_OF_TURN_TOKEN|>",),
    "cohere2": ("<|END_OF_TURN_TOKEN|>",),
    "granite": ("<|end_of_text|>",),
    "granitemoe": ("<|end_of_text|>",),
    "granitehybrid": ("<|end_of_text|>",),
    "deepseek2": ("<｜end▁of▁sentence｜>",),
    "starcoder2": _END_OF_TEXT,
    "glm4": ("<|user|>",),
    "glm4moe": ("<|user|>", "<|observation|>"),
    "exaone": ("[|endofturn|]",),
    "exaone4": ("[|endofturn|]",),
    "hunyuan-dense": ("<｜hy_place▁holder▁no▁2｜>",),
    "seed_oss": ("<seed:eos>",),
    "olmo2": _END_OF_TEXT,
    "olmoe": _END_OF_TEXT,
}
"""What the families write at the end of a turn, besides `</s>` and `<|im_end|>`."""


def hyperparameters(architecture: str) -> Keys:
    """Return the metadata of a tiny model of an architecture, with the full names of the keys."""
    keys = {**_BASE, **HYPERPARAMETERS[architecture]}
    return {f"{architecture}.{name}": value for name, value in keys.items()}
