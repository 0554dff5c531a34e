"""Folders of safetensors with the weights of files in llama.cpp's form, to convert back."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Encoding

from tests.support import hf_folders, hf_tokenizers
from tests.support.hf_folders import Files
from tests.support.hf_tokenizers import encoded
from tests.support.legacy.plain_file import PlainFile
from tests.support.legacy.text_models import N_EMBD, N_FF, N_HEADS, N_KV, N_LAYERS

Tensors = dict[str, npt.NDArray[Any]]
_PRECISE = re.compile(
    r"gate_inp\.weight|(?:patch|position)_embd\.weight|shortconv\.conv|"
    r"ssm_(?:a|d|norm|conv1d)(?:\.|\Z)"
)
ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
MLP = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
LLAMA = {**ATTENTION, **MLP, "ffn_norm": "post_attention_layernorm"}
LLAMA4 = {
    **{name: to for name, to in ATTENTION.items() if "norm" not in name},
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate_inp": "feed_forward.router",
    **{f"ffn_{n}": f"feed_forward.{n}_proj" for n in ("gate", "up", "down")},
    **{f"ffn_{n}_shexp": f"feed_forward.shared_expert.{n}_proj" for n in ("gate", "up", "down")},
}
CONFIG: dict[str, Any] = {
    "hidden_size": N_EMBD,
    "intermediate_size": N_FF,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}


def in_16_bits(file: PlainFile) -> PlainFile:
    """Return the file with its matrices as F16, as a conversion writes them."""
    for name, tensor in file.tensors.items():
        if tensor.ndim > 1 and not _PRECISE.search(name) and not name.endswith("bias"):
            file.kinds[name] = Encoding.F16
    return file


def text_tensors(
    file: PlainFile,
    names: Mapping[str, str] = LLAMA,
    prefix: str = "model.",
    shift: Callable[[str], float] = lambda _: 0.0,
) -> Tensors:
    """Return the tensors of a text model by the names of transformers, minus their `shift`."""
    once = {
        "token_embd.weight": f"{prefix}embed_tokens.weight",
        "output_norm.weight": f"{prefix}norm.weight",
        "output.weight": "lm_head.weight",
    }
    found: Tensors = {}
    for name, tensor in file.tensors.items():
        target = once.get(name, "")
        if not target:
            _, layer, rest = name.split(".", 2)
            stem, dot, kind = rest.rpartition(".")
            if stem not in names:
                continue
            target = f"{prefix}layers.{layer}.{names[stem]}{dot}{kind}"
        found[target] = (tensor - np.float32(shift(name))).astype(np.float32)
    return found


def llama4_tensors(file: PlainFile, prefix: str = "language_model.model.") -> Tensors:
    """Return the tensors of Llama 4, whose experts are transposed, gate and up in one tensor."""
    found = text_tensors(file, LLAMA4, prefix)
    for name, gate in file.tensors.items():
        layer, _, part = name.removeprefix("blk.").partition(".")
        if part == "ffn_gate_exps.weight":
            up, down = (file.tensors[f"blk.{layer}.ffn_{n}_exps.weight"] for n in ("up", "down"))
            experts = f"{prefix}layers.{layer}.feed_forward.experts."
            found[f"{experts}gate_up_proj"] = np.concatenate((turned(gate), turned(up)), axis=2)
            found[f"{experts}down_proj"] = turned(down)
    return found


def turned(experts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the experts of a layer with rows and columns exchanged."""
    return np.ascontiguousarray(experts.swapaxes(1, 2))


def renamed(file: PlainFile, pairs: Sequence[tuple[str, str]]) -> Tensors:
    """Return the tensors with new names: the first pattern that matches a whole name counts."""
    found: Tensors = {}
    for name, tensor in file.tensors.items():
        matches = ((re.fullmatch(pattern, name), target) for pattern, target in pairs)
        found[next(m.expand(target) for m, target in matches if m is not None)] = tensor
    return found


def folder(architecture: str, config: Mapping[str, object], tensors: Tensors) -> Files:
    """Return a folder with a small tokenizer."""
    tokenizer = hf_tokenizers.pieces()
    size = hf_tokenizers.size_of(tokenizer)
    fields = {"architectures": [architecture], **CONFIG, "vocab_size": size, **config}
    return {
        "config.json": encoded(fields),
        "tokenizer.json": encoded(tokenizer),
        "tokenizer_config.json": encoded({"bos_token": "<s>", "eos_token": "</s>"}),
        "model.safetensors": hf_folders.safetensors(tensors),
    }
