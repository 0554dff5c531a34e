"""Folders of further families become models that compute what their weights do in GGUF files.

The file in llama.cpp's form has the tensors that llama.cpp itself declares for the architecture;
the folder has the same numbers under the names and in the shapes of transformers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from model_store.errors import CreateError
from tests.support.bare_llama import BareLlama
from tests.support.converting import converted
from tests.support.families.builder import write_family
from tests.support.families.hyperparameters import HEAD_DIM, N_EMBD, N_FF, N_HEADS, N_KV_HEADS
from tests.support.hf_folders import Files
from tests.support.hf_of_gguf import (
    ATTENTION,
    LLAMA4,
    MLP,
    Tensors,
    folder,
    in_16_bits,
    llama4_tensors,
    text_tensors,
)
from tests.support.legacy.plain_file import PlainFile, read
from tests.support.tiny_models import normal

Matrix = npt.NDArray[Any]
COMMON: dict[str, Any] = {
    "hidden_size": N_EMBD,
    "intermediate_size": N_FF,
    "num_hidden_layers": 2,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV_HEADS,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}
HEADS = {"head_dim": HEAD_DIM}
EXPERTS = {"num_experts_per_tok": 2, "num_local_experts": 4}
GRANITE = {
    "attention_multiplier": 0.25,
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.5,
    "logits_scaling": 4.0,
    "layer_types": ["mamba", "attention"],
    "mamba_d_conv": 4,
    "mamba_d_state": 16,
    "mamba_n_groups": 2,
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "position_embedding_type": "nope",
    "shared_intermediate_size": N_FF,
}
MAMBA = {
    "ssm_in": "in_proj",
    "ssm_conv1d": "conv1d",
    "ssm_norm": "norm",
    "ssm_out": "out_proj",
}


NEMOTRON = {
    **HEADS,
    "num_hidden_layers": 3,
    "hybrid_override_pattern": "M*-",
    "conv_kernel": 4,
    "ssm_state_size": 16,
    "n_groups": 2,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
}
NEMOTRON_MOE = {
    **NEMOTRON,
    "hybrid_override_pattern": "M*E",
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 32,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "n_group": 1,
    "topk_group": 1,
}
NEMOTRON_NAMES = {
    "attn_norm": "norm",
    "attn_q": "mixer.q_proj",
    "attn_k": "mixer.k_proj",
    "attn_v": "mixer.v_proj",
    "attn_output": "mixer.o_proj",
    **{name: f"mixer.{to}" for name, to in MAMBA.items()},
}
NEMOTRON_MOE_NAMES = {
    **NEMOTRON_NAMES,
    "ffn_gate_inp": "mixer.gate",
    "ffn_latent_down": "mixer.fc1_latent_proj",
    "ffn_latent_up": "mixer.fc2_latent_proj",
    "ffn_up_shexp": "mixer.shared_experts.up_proj",
    "ffn_down_shexp": "mixer.shared_experts.down_proj",
}


GRANITE_NAMES = {
    **{name: to for name, to in ATTENTION.items() if not name.endswith(("q_norm", "k_norm"))},
    "ffn_norm": "post_attention_layernorm",
}
_OPTIONAL = re.compile(r"scale$|rope_freqs|blk\.\d+\.(?!ssm|exp_probs).*\.bias$")
"""Tensors that llama.cpp takes, and published folders of the families do not have."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a family is stored: names of tensors in a layer, configuration, and what differs."""

    architecture: str
    gguf: str
    names: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = "model."
    change: Callable[[Tensors, PlainFile], None] = lambda _tensors, _file: None
    prepare: Callable[[PlainFile], None] = lambda _file: None


def layers(file: PlainFile) -> range:
    return range(int(file.keys[f"{file.keys['general.architecture'][1]}.block_count"][1]))


def llama4(tensors: Tensors, file: PlainFile) -> None:
    tensors |= llama4_tensors(file)


def glm4moe(tensors: Tensors, file: PlainFile) -> None:
    """Add the experts one by one, and a layer for multi-token prediction."""
    for layer in layers(file):
        to = f"model.layers.{layer}.mlp."
        if (bias := file.tensors.get(f"blk.{layer}.exp_probs_b.bias")) is not None:
            tensors[f"{to}gate.e_score_correction_bias"] = bias
            for name in ("gate", "up", "down"):
                for number, expert in enumerate(
                    file.tensors[f"blk.{layer}.ffn_{name}_exps.weight"]
                ):
                    tensors[f"{to}experts.{number}.{name}_proj.weight"] = expert
    tensors["model.layers.3.eh_proj.weight"] = np.ones((4, 8), np.float32)


def granite(tensors: Tensors, file: PlainFile) -> None:
    """Join gate and up projections, and order the rows of Q and K as transformers does."""
    for layer in layers(file):
        to, blk = f"model.layers.{layer}.", f"blk.{layer}.ffn_"
        if f"{blk}gate_exps.weight" in file.tensors:
            gate, up = (file.tensors[f"{blk}{name}_exps.weight"] for name in ("gate", "up"))
            experts = f"{to}block_sparse_moe."
            tensors[f"{experts}input_linear.weight"] = np.concatenate((gate, up), axis=1)
            tensors[f"{experts}output_linear.weight"] = file.tensors[f"{blk}down_exps.weight"]
        else:
            gate, up = (file.tensors[f"{blk}{name}.weight"] for name in ("gate", "up"))
            tensors[f"{to}shared_mlp.input_linear.weight"] = np.concatenate((gate, up))
            tensors[f"{to}shared_mlp.output_linear.weight"] = file.tensors[f"{blk}down.weight"]
        for part, n_heads in (("q", N_HEADS), ("k", N_KV_HEADS)):
            name = f"{to}self_attn.{part}_proj.weight"
            if name in tensors:
                heads = tensors[name].reshape(n_heads, HEAD_DIM // 2, 2, N_EMBD)
                tensors[name] = np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(-1, N_EMBD)
    hybrid(tensors, file, "model.layers.N.mamba", "mamba.norm.weight")


def nemotron(tensors: Tensors, file: PlainFile) -> None:
    tensors["backbone.embeddings.weight"] = tensors.pop("backbone.embed_tokens.weight")
    tensors["backbone.norm_f.weight"] = tensors.pop("backbone.norm.weight")
    hybrid(tensors, file, "backbone.layers.N.mixer", "mixer.norm.weight")


def nemotron_moe(tensors: Tensors, file: PlainFile) -> None:
    """Store the experts one by one, as the published folders."""
    nemotron(tensors, file)
    for layer in layers(file):
        to = f"backbone.layers.{layer}.mixer."
        if (bias := file.tensors.get(f"blk.{layer}.exp_probs_b.bias")) is not None:
            tensors[f"{to}gate.e_score_correction_bias"] = bias
            for name in ("up", "down"):
                experts = file.tensors[f"blk.{layer}.ffn_{name}_exps.weight"]
                for number, expert in enumerate(experts):
                    tensors[f"{to}experts.{number}.{name}_proj.weight"] = expert
    tensors["mtp.layers.0.eh_proj.weight"] = np.ones((4, 8), np.float32)


def nemotron_moe_joined(tensors: Tensors, file: PlainFile) -> None:
    """Store the experts of a layer in one tensor, under the names of newer folders."""
    nemotron_moe(tensors, file)
    for name in list(tensors):
        tensor = tensors.pop(name)
        if ".experts." not in name:
            tensors[name.replace("backbone.", "model.")] = tensor
    for layer in layers(file):
        for part in ("up", "down"):
            experts = file.tensors.get(f"blk.{layer}.ffn_{part}_exps.weight")
            if experts is not None:
                tensors[f"model.layers.{layer}.mixer.experts.{part}_proj"] = experts


def without_latent(file: PlainFile) -> None:
    """Let the experts work in the full width."""
    through_logarithm(file)
    del file.keys["nemotron_h_moe.moe_latent_size"]
    draw = normal(9)
    for name, tensor in list(file.tensors.items()):
        if "_latent_" in name:
            del file.tensors[name]
        elif name.endswith("_exps.weight"):
            n_experts, n_out, n_in = tensor.shape
            shape = (n_experts, N_EMBD, n_in) if "down" in name else (n_experts, n_out, N_EMBD)
            file.tensors[name] = draw(*shape) / np.float32(shape[-1] ** 0.5)


def falcon(tensors: Tensors, file: PlainFile) -> None:
    """Divide the weights by the factors of the configuration, which are powers of two."""
    tensors["model.final_layernorm.weight"] = tensors.pop("model.norm.weight")
    for layer in layers(file):  # the one norm whose name has no ending in llama.cpp
        norm = file.tensors[f"blk.{layer}.ffn_norm"]
        tensors[f"model.layers.{layer}.pre_ff_layernorm.weight"] = norm
    hybrid(tensors, file, "model.layers.N.mamba", "mamba.norm.weight")
    divisors = {
        "embed_tokens.weight": 4,
        "lm_head.weight": 0.5,
        "q_proj.weight": 2,
        "k_proj.weight": 2 * 0.25,
        "v_proj.weight": 2,
        "o_proj.weight": 0.5,
        "mamba.out_proj.weight": 8,
        "gate_proj.weight": 0.25,
        "down_proj.weight": 2,
    }
    for name, tensor in tensors.items():
        for end, divisor in divisors.items():
            if name.endswith(end):
                tensors[name] = tensor / np.float32(divisor)
        if name.endswith("mamba.in_proj.weight"):
            parts = np.repeat(np.float32([2, 4, 0.5, 0.25, 8]), (128, 128, 32, 32, 8))
            tensors[name] = tensor / (np.float32(0.5) * parts[:, None])


def hybrid(tensors: Tensors, file: PlainFile, mixer: str, norm: str) -> None:
    """Put the tensors of Mamba layers into the names and shapes of transformers."""
    for name in tensors:
        if name.endswith("conv1d.weight"):
            tensors[name] = tensors[name][:, None]
        elif name.endswith(norm):
            tensors[name] = tensors[name].reshape(-1)
    for name, tensor in file.tensors.items():
        layer, _, rest = name.removeprefix("blk.").partition(".")
        to = mixer.replace("N", layer)
        if rest == "ssm_a":
            tensors[f"{to}.A_log"] = logarithm(tensor).reshape(-1)
        elif rest == "ssm_d":
            tensors[f"{to}.D"] = tensor.reshape(-1)
        elif rest == "ssm_dt.bias":
            tensors[f"{to}.dt_bias"] = tensor


def logarithm(decay: Matrix) -> Matrix:
    """Return what is stored of a decay, with few digits, so that it comes back the same."""
    return np.log(-decay).round(3).astype(np.float32)


def through_logarithm(file: PlainFile) -> None:
    """Round the decay as it is when its logarithm is stored."""
    for name, tensor in file.tensors.items():
        if name.endswith(".ssm_a"):
            file.tensors[name] = -np.exp(logarithm(tensor))


def without_positions(file: PlainFile) -> None:
    """Say that the attention has no positions, as that of the published models."""
    through_logarithm(file)
    file.set(granitehybrid__rope__scaling__finetuned=False)


CASES = {
    "llama4": Case(
        architecture="Llama4ForConditionalGeneration",
        gguf="llama4",
        names=LLAMA4,
        config={
            "text_config": {
                **HEADS,
                "num_hidden_layers": 4,
                "intermediate_size": 32,
                "intermediate_size_mlp": N_FF,
                **EXPERTS,
                "interleave_moe_layer_step": 2,
                "rope_theta": 10000.0,
            }
        },
        prefix="language_model.model.",
        change=llama4,
    ),
    "glm4": Case(
        architecture="Glm4ForCausalLM",
        gguf="glm4",
        names={
            **ATTENTION,
            "ffn_norm": "post_attention_layernorm",
            "post_attention_norm": "post_self_attn_layernorm",
            "post_ffw_norm": "post_mlp_layernorm",
            "ffn_up": "mlp.gate_up_proj",
            "ffn_down": "mlp.down_proj",
        },
        config={"partial_rotary_factor": 0.5},
    ),
    "glm4moe": Case(
        architecture="Glm4MoeForCausalLM",
        gguf="glm4moe",
        names={
            **ATTENTION,
            **MLP,
            "post_attention_norm": "post_attention_layernorm",
            "ffn_gate_inp": "mlp.gate",
            **{f"ffn_{n}_shexp": f"mlp.shared_experts.{n}_proj" for n in ("gate", "up", "down")},
        },
        config={
            **HEADS,
            "num_hidden_layers": 3,
            "first_k_dense_replace": 1,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_shared_experts": 1,
            "moe_intermediate_size": 32,
            "norm_topk_prob": True,
            "num_nextn_predict_layers": 1,
            "partial_rotary_factor": 1.0,
        },
        change=glm4moe,
    ),
    "granite 4": Case(
        architecture="GraniteMoeHybridForCausalLM",
        gguf="granitehybrid",
        names={**GRANITE_NAMES, **{name: f"mamba.{to}" for name, to in MAMBA.items()}},
        config=GRANITE,
        change=granite,
        prepare=without_positions,
    ),
    "granite 4 without mamba": Case(
        architecture="GraniteMoeHybridForCausalLM",
        gguf="granite",
        names=GRANITE_NAMES,
        config={**GRANITE, "layer_types": ["attention"] * 2, "position_embedding_type": "rope"},
        change=granite,
    ),
    "granite 3 moe": Case(
        architecture="GraniteMoeForCausalLM",
        gguf="granitemoe",
        names={**GRANITE_NAMES, "ffn_gate_inp": "block_sparse_moe.router.layer"},
        config={**GRANITE, **EXPERTS, "intermediate_size": 32, "shared_intermediate_size": 0},
        change=granite,
    ),
    "falcon h1": Case(
        architecture="FalconH1ForCausalLM",
        gguf="falcon-h1",
        names={
            **{name: to for name, to in ATTENTION.items() if "k_norm" not in name},
            **{f"ffn_{n}": f"feed_forward.{n}_proj" for n in ("gate", "up", "down")},
            **{name: f"mamba.{to}" for name, to in MAMBA.items()},
        },
        config={
            **HEADS,
            "mamba_d_conv": 4,
            "mamba_d_state": 16,
            "mamba_n_groups": 2,
            "mamba_d_head": 16,
            "mamba_d_ssm": 128,
            "embedding_multiplier": 4,
            "lm_head_multiplier": 0.5,
            "attention_in_multiplier": 2,
            "attention_out_multiplier": 0.5,
            "key_multiplier": 0.25,
            "mlp_multipliers": [0.25, 2],
            "ssm_in_multiplier": 0.5,
            "ssm_out_multiplier": 8,
            "ssm_multipliers": [2, 4, 0.5, 0.25, 8],
        },
        change=falcon,
        prepare=through_logarithm,
    ),
    "nemotron h": Case(
        architecture="NemotronHForCausalLM",
        gguf="nemotron_h",
        names={**NEMOTRON_NAMES, "ffn_up": "mixer.up_proj", "ffn_down": "mixer.down_proj"},
        config=NEMOTRON,
        prefix="backbone.",
        change=nemotron,
        prepare=through_logarithm,
    ),
    "nemotron 3": Case(
        architecture="NemotronHForCausalLM",
        gguf="nemotron_h_moe",
        names=NEMOTRON_MOE_NAMES,
        config=NEMOTRON_MOE,
        prefix="backbone.",
        change=nemotron_moe,
        prepare=without_latent,
    ),
    "nemotron 3 in a smaller space, as newer folders": Case(
        architecture="NemotronHForCausalLM",
        gguf="nemotron_h_moe",
        names=NEMOTRON_MOE_NAMES,
        config={
            **NEMOTRON_MOE,
            "hybrid_override_pattern": None,
            "layers_block_type": ["mamba", "attention", "moe"],
            "num_hidden_layers": None,
            "moe_latent_size": 48,
        },
        prefix="backbone.",
        change=nemotron_moe_joined,
        prepare=through_logarithm,
    ),
}


def files_of(case: Case, path: Path, **changes: object) -> tuple[PlainFile, Files]:
    """Return a model in llama.cpp's form, and the folder of which it should be made.

    `changes` are made to the folder's config.json.
    """
    file = read(write_family(path, case.gguf))
    for name in list(file.tensors):
        if _OPTIONAL.search(name):
            del file.tensors[name]
    case.prepare(file)
    tensors = text_tensors(file, case.names, case.prefix)
    case.change(tensors, file)
    return file, folder(case.architecture, {**COMMON, **case.config, **changes}, tensors)


@pytest.mark.parametrize("name", CASES)
def test_a_converted_folder_computes_the_same(name: str, tmp_path: Path) -> None:
    file, files = files_of(CASES[name], tmp_path / "family.gguf")
    expected = in_16_bits(file).write(tmp_path / "expected.gguf")

    found = converted(tmp_path / "converted", files)

    tokens = list(range(5, 60))
    wanted, logits = (BareLlama(path, 256).start(tokens) for path in (expected, found))
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits, wanted)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a pattern with experts that are missing": (
        "nemotron h",
        {"hybrid_override_pattern": "M*E"},
        r"blk\.2\.ffn_gate_inp",
    ),
    "a pattern with experts and feed-forward layers": (
        "nemotron 3",
        {"hybrid_override_pattern": "M-E"},
        "hybrid_override_pattern",
    ),
    "a list with unknown kinds of layers": (
        "nemotron 3",
        {"hybrid_override_pattern": None, "layers_block_type": ["mamba", 3, "moe"]},
        "layers_block_type",
    ),
    "a smaller space whose tensors are missing": (
        "nemotron 3",
        {"moe_latent_size": 48},
        r"blk\.2\.ffn_latent_down",
    ),
    "a pattern that is too short": (
        "nemotron h",
        {"hybrid_override_pattern": "M"},
        "hybrid_override_pattern",
    ),
    "factors that do not fit": ("falcon h1", {"ssm_multipliers": [1, 2]}, "the rows of"),
    "groups that do not fit": ("nemotron h", {"n_groups": 7}, "7 groups"),
    "layers of another kind": (
        "granite 4",
        {"layer_types": ["attention", "mamba"]},
        r"blk\.0\.attn_q",
    ),
    "fewer kinds than layers": ("granite 4", {"layer_types": ["mamba"]}, "layer_types"),
    "more layers without experts": (
        "glm4moe",
        {"first_k_dense_replace": 3},
        r"lacks the tensor for .blk\.1\.ffn_gate",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_does_not_fit_the_tensors_is_refused(
    name: str, tmp_path: Path
) -> None:
    key, changes, message = REFUSED[name]
    _, files = files_of(CASES[key], tmp_path / "family.gguf", **changes)

    with pytest.raises(CreateError, match=message):
        converted(tmp_path / "converted", files)
