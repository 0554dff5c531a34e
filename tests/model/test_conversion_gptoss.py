"""A folder of gpt-oss becomes a model with the same numbers, its experts still as MXFP4."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Encoding
from gguf import GGUFReader, quants
from safetensors.numpy import load

from model_store.errors import CreateError
from tests.support import hf_folders, hf_tokenizers
from tests.support.bare_llama import BareLlama
from tests.support.converting import converted
from tests.support.hf_folders import Files
from tests.support.hf_tokenizers import encoded
from tests.support.legacy.plain_file import PlainFile
from tests.support.legacy.text_models import N_EMBD, N_HEADS, N_KV, N_LAYERS, gptoss

Bytes = npt.NDArray[np.uint8]
EXPERTS = ("gate", "up", "down")
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.router",
}
CONFIG = {
    "architectures": ["GptOssForCausalLM"],
    "hidden_size": N_EMBD,
    "intermediate_size": 32,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV,
    "head_dim": N_EMBD // N_HEADS,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "sliding_window": 16,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "rope_theta": 150_000.0,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 32.0,
        "original_max_position_embeddings": 64,
    },
}


def reference() -> PlainFile:
    """Return the model as llama.cpp has it: experts as MXFP4, other matrices in 16 bits."""
    file = gptoss()
    for name, tensor in file.tensors.items():
        if name.endswith("_exps.weight"):
            file.kinds[name] = Encoding.MXFP4
        elif tensor.ndim == 2 and not name.endswith(("bias", "gate_inp.weight")):
            file.kinds[name] = Encoding.F16
    return file


def packed(numbers: npt.NDArray[np.float32]) -> tuple[Bytes, Bytes]:
    """Return blocks and scales as the source has them: neighbours share a byte."""
    raw = quants.quantize(numbers, Encoding.MXFP4).reshape(*numbers.shape[:-1], -1, 17)
    halves = raw[..., 1:]
    each = np.concatenate((halves & 15, halves >> 4), axis=-1)
    return each[..., ::2] | (each[..., 1::2] << 4), np.ascontiguousarray(raw[..., 0])


def alternating(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows of each expert in turns."""
    both = np.stack((one, other), axis=2)
    return both.reshape(len(one), 2 * one.shape[1], *one.shape[2:])


def folder(file: PlainFile) -> Files:
    """Return the folder of which `file` should be made."""
    tensors: dict[str, npt.NDArray[Any]] = {
        "model.embed_tokens.weight": file.tensors["token_embd.weight"],
        "model.norm.weight": file.tensors["output_norm.weight"],
        "lm_head.weight": file.tensors["output.weight"],
    }
    for layer in range(N_LAYERS):
        of = {
            name.removeprefix(f"blk.{layer}."): tensor
            for name, tensor in file.tensors.items()
            if name.startswith(f"blk.{layer}.")
        }
        to = f"model.layers.{layer}."
        for name, source in NAMES.items():
            for kind in ("weight", "bias"):
                if f"{name}.{kind}" in of:
                    tensors[f"{to}{source}.{kind}"] = of[f"{name}.{kind}"]
        tensors[f"{to}self_attn.sinks"] = of["attn_sinks.weight"]
        gate, up, down = (packed(of[f"ffn_{name}_exps.weight"]) for name in EXPERTS)
        gate_bias, up_bias, down_bias = (of[f"ffn_{name}_exps.bias"] for name in EXPERTS)
        experts = {
            "gate_up_proj_blocks": alternating(gate[0], up[0]),
            "gate_up_proj_scales": alternating(gate[1], up[1]),
            "gate_up_proj_bias": alternating(gate_bias, up_bias),
            "down_proj_blocks": down[0],
            "down_proj_scales": down[1],
            "down_proj_bias": down_bias,
        }
        tensors |= {f"{to}mlp.experts.{name}": tensor for name, tensor in experts.items()}
    tokenizer = hf_tokenizers.pieces()
    return {
        "config.json": encoded({**CONFIG, "vocab_size": hf_tokenizers.size_of(tokenizer)}),
        "tokenizer.json": encoded(tokenizer),
        "tokenizer_config.json": encoded({"bos_token": "<s>", "eos_token": "</s>"}),
        "model.safetensors": hf_folders.safetensors(tensors),
    }


def test_a_converted_folder_has_the_experts_and_computes_the_same(tmp_path: Path) -> None:
    file = reference()
    expected = file.write(tmp_path / "expected.gguf")

    found = converted(tmp_path / "converted", folder(file))

    ours = {tensor.name: tensor for tensor in GGUFReader(found).tensors}
    for tensor in GGUFReader(expected).tensors:
        if "_exps." in tensor.name or "sinks" in tensor.name:
            assert ours[tensor.name].tensor_type == tensor.tensor_type
            np.testing.assert_array_equal(ours[tensor.name].data, tensor.data)
    tokens = list(range(5, 60))
    wanted, logits = (BareLlama(path, 256).start(tokens) for path in (expected, found))
    np.testing.assert_array_equal(logits, wanted)


def test_experts_in_16_bits_stay_so(tmp_path: Path) -> None:
    """Fine-tuned models have them so, each as columns of one tensor."""
    file = reference()
    files = folder(file)
    tensors = dict(load(files["model.safetensors"]))
    for layer in range(N_LAYERS):
        to = f"model.layers.{layer}.mlp.experts."
        for part in ("gate_up_proj", "down_proj"):
            for kind in ("blocks", "scales"):
                del tensors[f"{to}{part}_{kind}"]
        gate, up, down = (file.tensors[f"blk.{layer}.ffn_{name}_exps.weight"] for name in EXPERTS)
        tensors[f"{to}gate_up_proj"] = np.ascontiguousarray(alternating(gate, up).swapaxes(1, 2))
        tensors[f"{to}down_proj"] = np.ascontiguousarray(down.swapaxes(1, 2))
    files["model.safetensors"] = hf_folders.safetensors(tensors)
    for name in file.tensors:
        if name.endswith("_exps.weight"):
            file.kinds[name] = Encoding.F16
    expected = file.write(tmp_path / "expected.gguf")

    found = converted(tmp_path / "converted", files)

    tokens = list(range(5, 60))
    wanted, logits = (BareLlama(path, 256).start(tokens) for path in (expected, found))
    np.testing.assert_array_equal(logits, wanted)


def test_experts_of_another_kind_are_refused(tmp_path: Path) -> None:
    files = folder(reference())
    data = files["model.safetensors"].replace(b"gate_up_proj_blocks", b"gate_up_proj_other_")
    files["model.safetensors"] = data

    with pytest.raises(CreateError, match="MXFP4"):
        converted(tmp_path, files)
