"""Folders of safetensors files as people upload them: tiny models of random numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import TensorSpec, serialize

from tests.support import hf_tokenizers as tokenizers
from tests.support.hf_tokenizers import encoded, size_of
from tests.support.tiny_models import Array, normal

Tensors = dict[str, Array]
Dtype = Literal["F32", "F16", "BF16"]
Files = dict[str, bytes]
Fp8 = tuple[dict[str, npt.NDArray[Any]], Tensors]
"""Arrays as they are stored, and the numbers that they mean."""

N_EMBD, N_HEADS, N_KV_HEADS, N_FF, N_LAYERS = 32, 4, 2, 64, 2
HEAD_DIM = N_EMBD // N_HEADS
CONFIG: dict[str, Any] = {
    "hidden_size": N_EMBD,
    "intermediate_size": N_FF,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV_HEADS,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def safetensors(tensors: Mapping[str, npt.NDArray[Any]], dtype: Dtype = "F32") -> bytes:
    """Return a file with these tensors, stored as `dtype`; bytes as E4M3 or packed."""
    stored = {name: _stored(tensor, dtype) for name, tensor in tensors.items()}
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    return bytes(
        serialize(
            {
                name: TensorSpec(
                    dtype=_byte_type(name) if data.dtype == np.uint8 else names[dtype],
                    shape=data.shape,
                    data_ptr=data.ctypes.data,
                    data_len=data.nbytes,
                )
                for name, data in stored.items()
            }
        )
    )


def _byte_type(name: str) -> str:
    return "uint8" if name.endswith(("_blocks", "_scales")) else "float8_e4m3fn"


def fp8_number(code: int) -> float:
    """Return the number of an E4M3 byte, by its bits."""
    exponent, mantissa = (code >> 3) & 15, code & 7
    size = mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10)
    return -size if code & 128 else size


def fp8_matrices(tensors: Tensors, scales_of: Callable[[int, int], tuple[int, int]]) -> Fp8:
    """Return random FP8 bytes and scales in place of the matrices of layers, and their numbers.

    `scales_of` returns how many scales down and across a matrix of so many rows and columns has.
    """
    table = np.array([fp8_number(code) for code in range(256)], np.float32)
    random = np.random.default_rng(7)
    stored: dict[str, npt.NDArray[Any]] = {}
    numbers: Tensors = {}
    for name, tensor in tensors.items():
        if not name.endswith("_proj.weight"):
            stored[name] = numbers[name] = tensor
            continue
        rows, columns = tensor.shape
        down, across = scales_of(rows, columns)
        # Exponents around that of 1, so that weights are of a usual size.
        codes = random.integers(0x28, 0x38, (rows, columns)) | random.choice([0, 128], tensor.shape)
        factors = random.uniform(0.05, 0.5, (down, across)).astype(np.float32)
        spread = np.repeat(np.repeat(factors, -(-rows // down), 0), -(-columns // across), 1)
        stored[name] = codes.astype(np.uint8)
        stored[f"{name}_scale_inv"] = factors
        numbers[name] = table[codes] * spread[:rows, :columns]
    return stored, numbers


def _stored(tensor: npt.NDArray[Any], dtype: Dtype) -> npt.NDArray[Any]:
    if tensor.dtype == np.uint8:
        return np.ascontiguousarray(tensor)
    if dtype == "BF16":
        return np.ascontiguousarray(tensor.view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(tensor, np.float16 if dtype == "F16" else np.float32)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a decoder's layers differ from those of Llama."""

    biases: bool = False
    qk_norms: bool = False
    extra_norms: tuple[str, ...] = ()
    fused: bool = False
    n_experts: int = 0
    head: bool = True
    post_norms: bool = False
    n_layers: int = N_LAYERS


def decoder_tensors(n_vocab: int, *, seed: int = 0, **changes: Any) -> Tensors:
    """Return the weights of a decoder by their names in transformers; see `Shape` for `changes`."""
    shape, draw = Shape(**changes), normal(seed)
    tensors: Tensors = {"model.embed_tokens.weight": draw(n_vocab, N_EMBD)}
    for layer in range(shape.n_layers):
        for name, tensor in (*_attention(draw, shape), *_feed_forward(draw, shape)):
            tensors[f"model.layers.{layer}.{name}"] = tensor
        first = "post_feedforward_layernorm" if shape.post_norms else "input_layernorm"
        for name in (first, "post_attention_layernorm", *shape.extra_norms):
            tensors[f"model.layers.{layer}.{name}.weight"] = _norm(draw, N_EMBD)
    tensors["model.norm.weight"] = _norm(draw, N_EMBD)
    if shape.head:
        tensors["lm_head.weight"] = _matrix(draw, n_vocab, N_EMBD)
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}


def _attention(draw: Callable[..., Array], shape: Shape) -> Iterator[tuple[str, Array]]:
    widths = {"q": N_EMBD, "k": N_KV_HEADS * HEAD_DIM, "v": N_KV_HEADS * HEAD_DIM}
    if shape.fused:
        widths = {"qkv": sum(widths.values())}
    for name, width in widths.items():
        yield f"self_attn.{name}_proj.weight", _matrix(draw, width, N_EMBD)
        if shape.biases:
            yield f"self_attn.{name}_proj.bias", 0.1 * draw(width)
    yield "self_attn.o_proj.weight", _matrix(draw, N_EMBD, N_EMBD)
    for name in ("q", "k") if shape.qk_norms else ():
        size = widths[name] if shape.post_norms else HEAD_DIM
        yield f"self_attn.{name}_norm.weight", _norm(draw, size)


def _feed_forward(draw: Callable[..., Array], shape: Shape) -> Iterator[tuple[str, Array]]:
    widths = {"gate_up": 2 * N_FF} if shape.fused else {"gate": N_FF, "up": N_FF}
    for expert in [f"experts.{n}." for n in range(shape.n_experts)] or [""]:
        for name, width in widths.items():
            yield f"mlp.{expert}{name}_proj.weight", _matrix(draw, width, N_EMBD)
        yield f"mlp.{expert}down_proj.weight", _matrix(draw, N_EMBD, N_FF)
    if shape.n_experts:
        yield "mlp.gate.weight", _matrix(draw, shape.n_experts, N_EMBD)


def _matrix(draw: Callable[..., Array], rows: int, columns: int) -> Array:
    return 2 * draw(rows, columns) / np.float32(columns**0.5)


def _norm(draw: Callable[..., Array], size: int) -> Array:
    return 1 + np.float32(0.1) * draw(size)


def decoder(
    architecture: str,
    tokenizer: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    dtype: Dtype = "F32",
    **shape: Any,
) -> Files:
    """Return the folder of a decoder; `shape` is that of `Shape`."""
    found = dict(tokenizer) if tokenizer is not None else tokenizers.byte_level()
    n_vocab = size_of(found)
    return {
        "config.json": encoded(
            {"architectures": [architecture], **CONFIG, "vocab_size": n_vocab, **(config or {})}
        ),
        "tokenizer.json": encoded(found),
        "tokenizer_config.json": encoded(
            {"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"}
        ),
        "model.safetensors": safetensors(decoder_tensors(n_vocab, **shape), dtype),
    }


def llama(*, dtype: Dtype = "F32", config: Mapping[str, Any] | None = None, **shape: Any) -> Files:
    """Return the folder of a Llama with pieces of text as its vocabulary."""
    files = decoder("LlamaForCausalLM", tokenizers.pieces(), config=config, dtype=dtype, **shape)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return {**files, "tokenizer_config.json": encoded(special)}


def encoder_tensors(n_vocab: int, *, n_positions: int = 64, n_types: int = 2) -> Tensors:
    """Return the weights of a BERT."""
    draw = normal(0)
    tensors: Tensors = {
        "embeddings.word_embeddings.weight": draw(n_vocab, N_EMBD),
        "embeddings.position_embeddings.weight": 0.1 * draw(n_positions, N_EMBD),
        "embeddings.token_type_embeddings.weight": 0.1 * draw(n_types, N_EMBD),
        "pooler.dense.weight": draw(N_EMBD, N_EMBD),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(N_LAYERS):
        prefix = f"encoder.layer.{layer}."
        shapes = {
            "attention.self.query": (N_EMBD, N_EMBD),
            "attention.self.key": (N_EMBD, N_EMBD),
            "attention.self.value": (N_EMBD, N_EMBD),
            "attention.output.dense": (N_EMBD, N_EMBD),
            "intermediate.dense": (N_FF, N_EMBD),
            "output.dense": (N_EMBD, N_FF),
        }
        for name, (rows, columns) in shapes.items():
            tensors[f"{prefix}{name}.weight"] = draw(rows, columns) / np.float32(columns**0.5)
            tensors[f"{prefix}{name}.bias"] = 0.1 * draw(rows)
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    for name in norms:
        tensors[f"{name}.weight"] = np.ones(N_EMBD, np.float32)
        tensors[f"{name}.bias"] = np.zeros(N_EMBD, np.float32)
    return tensors


def encoder(
    architecture: str, tokenizer: Mapping[str, Any], special: Mapping[str, str], **config: Any
) -> Files:
    """Return the folder of a BERT."""
    n_vocab = size_of(dict(tokenizer))
    n_types = config.get("type_vocab_size", 2)
    fields = {
        "architectures": [architecture],
        **CONFIG,
        "max_position_embeddings": 64,
        "vocab_size": n_vocab,
        "layer_norm_eps": 1e-12,
        **config,
    }
    return {
        "config.json": encoded(fields),
        "tokenizer.json": encoded(tokenizer),
        "tokenizer_config.json": encoded(special),
        "model.safetensors": safetensors(encoder_tensors(n_vocab, n_types=n_types)),
    }


def bert() -> Files:
    """Return the folder of a BERT that says how its vectors are pooled."""
    names = ("pad", "unk", "cls", "sep", "mask")
    special = {f"{name}_token": f"[{name.upper()}]" for name in names}
    files = encoder("BertModel", tokenizers.wordpiece(), special)
    return {**files, "1_Pooling/config.json": encoded({"pooling_mode_cls_token": True})}


def nomic_bert() -> Files:
    """Return the folder of a BERT with rotary positions."""
    tokenizer = tokenizers.wordpiece()
    n_vocab = size_of(tokenizer)
    draw = normal(0)
    tensors: Tensors = {
        "embeddings.word_embeddings.weight": draw(n_vocab, N_EMBD),
        "embeddings.token_type_embeddings.weight": 0.1 * draw(2, N_EMBD),
    }
    norms = ["emb_ln"]
    for layer in range(N_LAYERS):
        prefix = f"encoder.layers.{layer}."
        tensors[f"{prefix}attn.Wqkv.weight"] = draw(3 * N_EMBD, N_EMBD)
        tensors[f"{prefix}attn.out_proj.weight"] = draw(N_EMBD, N_EMBD)
        tensors[f"{prefix}mlp.fc11.weight"] = draw(N_FF, N_EMBD)
        tensors[f"{prefix}mlp.fc12.weight"] = draw(N_FF, N_EMBD)
        tensors[f"{prefix}mlp.fc2.weight"] = draw(N_EMBD, N_FF)
        norms += [f"{prefix}norm1", f"{prefix}norm2"]
    for name in norms:
        tensors[f"{name}.weight"] = np.ones(N_EMBD, np.float32)
        tensors[f"{name}.bias"] = np.zeros(N_EMBD, np.float32)
    config = {
        "architectures": ["NomicBertModel"], "n_embd": N_EMBD, "n_layer": N_LAYERS,
        "n_head": N_HEADS, "n_inner": N_FF, "n_positions": 64, "vocab_size": n_vocab,
        "layer_norm_epsilon": 1e-12, "rotary_emb_base": 1000,
    }  # fmt: skip
    return {
        "config.json": encoded(config),
        "tokenizer.json": encoded(tokenizer),
        "tokenizer_config.json": encoded({"cls_token": "[CLS]", "sep_token": "[SEP]"}),
        "model.safetensors": safetensors(tensors),
    }


def lora(
    base: Tensors,
    *,
    rank: int = 4,
    style: Literal["peft", "mlx"] = "peft",
    dora: bool = False,
    seed: int = 1,
) -> tuple[Files, Tensors]:
    """Return an adapter for `base`, with `dora` one of DoRA, and the weights of `base` with it."""
    draw = normal(seed)
    tensors: Tensors = {}
    merged = dict(base)
    for name, weights in base.items():
        if "_proj.weight" not in name:
            continue
        module = name.removesuffix(".weight")
        n_out, n_in = weights.shape
        a = (draw(rank, n_in) / np.float32(n_in**0.5)).astype(np.float32)
        b = (0.3 * draw(n_out, rank)).astype(np.float32)
        merged[name] = (weights + 2.0 * (b @ a)).astype(np.float32)
        if dora:
            magnitudes = np.linalg.norm(weights, axis=1) * (1 + 0.3 * draw(n_out))
            lengths = np.sqrt((merged[name].astype(np.float64) ** 2).sum(1))
            merged[name] = (merged[name] * (magnitudes / lengths)[:, None]).astype(np.float32)
            suffix = "lora_magnitude_vector" if style == "peft" else "m"
            prefix = "base_model.model." if style == "peft" else ""
            tensors[f"{prefix}{module}.{suffix}"] = magnitudes.astype(np.float32)
        if style == "peft":
            tensors[f"base_model.model.{module}.lora_A.weight"] = a
            tensors[f"base_model.model.{module}.lora_B.weight"] = b
        else:
            tensors[f"{module}.lora_a"] = np.ascontiguousarray(a.T)
            tensors[f"{module}.lora_b"] = np.ascontiguousarray(b.T)
    config: dict[str, Any] = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank}
    if style == "mlx":
        config = {"lora_parameters": {"rank": rank, "scale": 2.0}}
    if dora:
        config |= {"use_dora": True} if style == "peft" else {"fine_tune_type": "dora"}
    name = "adapter_model.safetensors" if style == "peft" else "adapters.safetensors"
    return {"adapter_config.json": encoded(config), name: safetensors(tensors)}, merged


def written(directory: Path, files: Files) -> dict[str, Path]:
    """Write the files under odd names, as blobs have them; return the paths by the true names."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {}
    for number, (name, data) in enumerate(files.items()):
        paths[name] = directory / f"blob{number}"
        paths[name].write_bytes(data)
    return paths
