"""Converted folders are models: llama.cpp loads them, and computes what they meant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from model_store.errors import CreateError
from model_store.gguf import read_header
from tests.support import hf_folders, hf_tokenizers
from tests.support.converting import converted
from tests.support.hf_folders import Files, Tensors
from tests.support.numpy_decoder import LLAMA, Variant, last_logits
from tests.support.stepped_engine import StartEngine, SteppedEngine

PROMPT = "the little dog and the girl went home"


def logits(engine: SteppedEngine, tokens: list[int]) -> npt.NDArray[np.float32]:
    """Return the logits of the last token."""
    context = engine.engine._context
    context.put(0, tokens, 0, 0, slice(-1, None))
    assert context.decode(len(tokens)) == 0
    found = context.logits(len(tokens) - 1).copy()
    context.clear()
    return found


def assert_computes(
    engine: SteppedEngine,
    tensors: Tensors,
    factors: npt.NDArray[np.float32] | None = None,
    *,
    tolerance: float = 0.02,
    variant: Variant = LLAMA,
) -> None:
    """The engine computes what numpy does, up to the rounding of 16-bit weights."""
    tokens = [5, 300, 17, 260, 99, 12, 201, 7, 310, 44]
    wanted = last_logits(tensors, tokens, factors, variant)
    difference = np.abs(logits(engine, tokens) - wanted).max()
    assert difference < tolerance * np.abs(wanted).max()


DECODERS: dict[str, tuple[str, dict[str, bool]]] = {
    "llama": ("LlamaForCausalLM", {}),
    "llama with biases": ("LlamaForCausalLM", {"biases": True}),
    "mistral": ("MistralForCausalLM", {}),
    "qwen2": ("Qwen2ForCausalLM", {"biases": True}),
    "qwen3": ("Qwen3ForCausalLM", {"qk_norms": True}),
}


@pytest.mark.parametrize("name", DECODERS)
def test_converted_decoder_computes_what_numpy_does(
    start_engine: StartEngine, tmp_path: Path, name: str
) -> None:
    architecture, shape = DECODERS[name]
    tokenizer = hf_tokenizers.pieces()
    files = hf_folders.decoder(architecture, tokenizer, **shape)
    engine = start_engine(converted(tmp_path, files))

    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(tokenizer), **shape)
    assert_computes(engine, tensors)
    assert engine.answer(PROMPT, n_predict=8).done.n_eval > 0


GRANITE = {
    "attention_multiplier": 0.5,
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.5,
    "logits_scaling": 4.0,
}
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any], Variant]] = {
    "granite": (
        "GraniteForCausalLM",
        {},
        GRANITE,
        Variant(attention=0.5, embedding=2.0, residual=0.5, logits=4.0),
    ),
    "smollm3": (
        "SmolLM3ForCausalLM",
        {"n_layers": 4},
        {"num_hidden_layers": 4, "no_rope_layers": [1, 1, 1, 0]},
        Variant(unrotated=(3,)),
    ),
    "olmo2": (
        "Olmo2ForCausalLM",
        {"post_norms": True, "qk_norms": True},
        {},
        Variant(post_norms=True),
    ),
    "olmo3": (
        "Olmo3ForCausalLM",
        {"post_norms": True, "qk_norms": True},
        {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        Variant(post_norms=True, windows={0: 4}),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_converted_variant_of_llama_computes_what_numpy_does(
    start_engine: StartEngine, tmp_path: Path, name: str
) -> None:
    architecture, shape, config, variant = VARIANTS[name]
    tokenizer = hf_tokenizers.pieces()
    files = hf_folders.decoder(architecture, tokenizer, config=config, **shape)
    engine = start_engine(converted(tmp_path, files))

    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(tokenizer), **shape)
    assert_computes(engine, tensors, variant=variant)


SCALES = {
    "tensor": lambda _rows, _columns: (1, 1),
    "row": lambda rows, _columns: (rows, 1),
    "block": lambda rows, columns: (-(-rows // 16), -(-columns // 16)),
}


@pytest.mark.parametrize("kind", SCALES)
def test_weights_in_8_bits_are_multiplied_by_their_scales(
    start_engine: StartEngine, tmp_path: Path, kind: str
) -> None:
    tokenizer = hf_tokenizers.pieces()
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [16, 16]}}
    files = hf_folders.decoder("LlamaForCausalLM", tokenizer, config=config)
    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(tokenizer))
    stored, numbers = hf_folders.fp8_matrices(tensors, SCALES[kind])

    files["model.safetensors"] = hf_folders.safetensors(stored)

    assert_computes(start_engine(converted(tmp_path, files)), numbers)


def test_scales_that_do_not_fit_their_weights_are_refused(tmp_path: Path) -> None:
    tokenizer = hf_tokenizers.pieces()
    files = hf_folders.decoder("LlamaForCausalLM", tokenizer)
    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(tokenizer))
    stored, _ = hf_folders.fp8_matrices(tensors, lambda _rows, _columns: (3, 5))
    files["model.safetensors"] = hf_folders.safetensors(stored)

    with pytest.raises(CreateError, match="scales"):
        converted(tmp_path, files)


def test_layers_without_rotation_that_llama_cpp_does_not_have_are_refused(tmp_path: Path) -> None:
    config = {"no_rope_layers": [0, 1]}
    files = hf_folders.decoder("SmolLM3ForCausalLM", hf_tokenizers.pieces(), config=config)

    with pytest.raises(CreateError, match="no_rope_layers"):
        converted(tmp_path, files)


def test_rotation_stretched_as_in_llama_3_is_kept(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    files = hf_folders.llama(config={"rope_scaling": scaling})
    engine = start_engine(converted(tmp_path, files))

    wavelengths = 2 * np.pi * 10000.0 ** (np.arange(0, 8, 2) / 8)
    smooth = np.clip((64 / wavelengths - 1) / 3, 0, 1)
    factors = 1 / ((1 - smooth) / 8 + smooth)
    assert len(set(np.round(factors, 3))) == 3
    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(hf_tokenizers.pieces()))
    assert_computes(engine, tensors, factors.astype(np.float32))


def test_rotation_is_found_where_newer_folders_have_it(tmp_path: Path) -> None:
    found = {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
    path = converted(tmp_path, hf_folders.llama(config={"rope_parameters": found}))

    header = read_header(path)
    assert header.metadata["llama.rope.freq_base"] == 500
    assert header.metadata["llama.rope.dimension_count"] == hf_folders.HEAD_DIM // 2


@pytest.mark.parametrize(("dtype", "kept"), [("F32", "F16"), ("F16", "F16"), ("BF16", "BF16")])
def test_matrices_are_stored_in_16_bits_and_vectors_in_32(
    start_engine: StartEngine, tmp_path: Path, dtype: hf_folders.Dtype, kept: str
) -> None:
    path = converted(tmp_path, hf_folders.llama(dtype=dtype))

    header = read_header(path)
    types = {tensor.name.partition(".")[0]: tensor.type for tensor in header.tensors}
    assert (types["token_embd"], types["output_norm"]) == (kept, "F32")
    assert header.file_type == kept
    tensors = hf_folders.decoder_tensors(hf_tokenizers.size_of(hf_tokenizers.pieces()))
    assert_computes(start_engine(path), tensors, tolerance=0.1)


GEMMA_NORMS = ("pre_feedforward_layernorm", "post_feedforward_layernorm")


def _with_images() -> Files:
    """Return a folder whose tensors and configuration have a part about images too."""
    gemma = {"extra_norms": GEMMA_NORMS, "qk_norms": True, "head": False}
    files = hf_folders.decoder("Gemma3ForCausalLM", **gemma)
    text = json.loads(files["config.json"])
    n_vocab = text["vocab_size"]
    tensors = {
        f"language_model.{name}": tensor
        for name, tensor in hf_folders.decoder_tensors(n_vocab, **gemma).items()
    }
    tensors["vision_tower.vision_model.embeddings.weight"] = np.ones((2, 2), np.float32)
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {**text, "head_dim": 8, "sliding_window": 32},
    }
    return {
        **files,
        "config.json": hf_tokenizers.encoded(config),
        "model.safetensors": hf_folders.safetensors(tensors),
    }


def _mixtral() -> Files:
    """Return the folder of a Mixtral, whose experts have names of their own."""
    files = hf_folders.decoder(
        "MixtralForCausalLM", config={"num_local_experts": 4, "num_experts_per_tok": 2}
    )
    n_vocab = json.loads(files["config.json"])["vocab_size"]
    renamed = {"mlp.": "block_sparse_moe.", "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    tensors: Tensors = {}
    for name, tensor in hf_folders.decoder_tensors(n_vocab, n_experts=4).items():
        for old, new in renamed.items():
            name = name.replace(old, new)  # noqa: PLW2901 - one replacement after the other
        tensors[name] = tensor
    return {**files, "model.safetensors": hf_folders.safetensors(tensors)}


GENERATORS: dict[str, Files] = {
    "mixtral": _mixtral(),
    "qwen3 moe": hf_folders.decoder(
        "Qwen3MoeForCausalLM", qk_norms=True, n_experts=4,
        config={"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64},
    ),
    "gemma": hf_folders.decoder("GemmaForCausalLM", head=False),
    "gemma 2": hf_folders.decoder(
        "Gemma2ForCausalLM", extra_norms=GEMMA_NORMS, head=False, config={"head_dim": 8}
    ),
    "gemma 3": hf_folders.decoder(
        "Gemma3ForCausalLM", extra_norms=GEMMA_NORMS, qk_norms=True, head=False,
        config={"head_dim": 8, "sliding_window": 32},
    ),
    "the text part of gemma 3": _with_images(),
    "phi 3": hf_folders.decoder("Phi3ForCausalLM", fused=True),
    "phi 3 for long texts": hf_folders.decoder(
        "Phi3ForCausalLM", fused=True,
        config={
            "original_max_position_embeddings": 64,
            "rope_scaling": {
                "type": "longrope", "long_factor": [1.5] * 4, "short_factor": [1.0] * 4,
            },
        },
    ),
    "a tied embedding": hf_folders.llama(config={"tie_word_embeddings": True}, head=False),
    "bfloat16": hf_folders.decoder("Qwen2ForCausalLM", biases=True, dtype="BF16"),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATORS)
def test_converted_model_writes(start_engine: StartEngine, tmp_path: Path, name: str) -> None:
    engine = start_engine(converted(tmp_path, GENERATORS[name]))

    assert np.isfinite(logits(engine, [5, 9, 30])).all()
    assert engine.answer(PROMPT, n_predict=12).done.n_eval > 0


ENCODERS: dict[str, tuple[Files, int]] = {
    "bert": (hf_folders.bert(), 2),
    "roberta": (
        hf_folders.encoder(
            "RobertaModel",
            {
                **hf_tokenizers.byte_level(),
                "post_processor": {
                    "type": "RobertaProcessing",
                    "cls": [hf_tokenizers.SPECIAL[0], 0], "sep": [hf_tokenizers.SPECIAL[1], 1],
                },
            },
            {"bos_token": hf_tokenizers.SPECIAL[0], "eos_token": hf_tokenizers.SPECIAL[1]},
            type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5,
        ),
        1,
    ),
    "nomic": (hf_folders.nomic_bert(), 1),
    "xlm-roberta": (
        hf_folders.encoder(
            "XLMRobertaModel",
            hf_tokenizers.unigram(),
            {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
            type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5,
        ),
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_converted_encoder_makes_vectors(
    start_engine: StartEngine, tmp_path: Path, name: str
) -> None:
    files, pooling = ENCODERS[name]
    path = converted(tmp_path, files)
    header = read_header(path)
    engine = start_engine(path, n_ctx=48, n_cells=96)

    assert header.integer(f"{header.architecture}.pooling_type") == pooling
    answer = engine.embed("the little dog", "the girl ran")
    engine.run()
    vectors = answer.vectors
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors[0], vectors[1])


@pytest.mark.parametrize("style", ["peft", "mlx"])
def test_converted_adapter_does_what_merged_weights_do(
    start_engine: StartEngine, tmp_path: Path, style: str
) -> None:
    files = hf_folders.llama()
    base = hf_folders.decoder_tensors(hf_tokenizers.size_of(hf_tokenizers.pieces()))
    adapter, merged = hf_folders.lora(base, style=style)  # type: ignore[arg-type]
    weights = converted(tmp_path / "model", files)
    path = converted(tmp_path / "adapter", adapter, weights)

    engine = start_engine(weights, adapters=(str(path),))

    assert_computes(engine, merged)
    with pytest.raises(AssertionError):
        assert_computes(engine, base)


def test_merged_dora_adapter_computes_what_numpy_does(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    base = hf_folders.decoder_tensors(hf_tokenizers.size_of(hf_tokenizers.pieces()))
    adapter, merged = hf_folders.lora(base, dora=True)
    weights = converted(tmp_path / "model", hf_folders.llama())

    engine = start_engine(converted(tmp_path / "adapter", adapter, weights))

    assert_computes(engine, merged)
    with pytest.raises(AssertionError):
        assert_computes(engine, base)


def test_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    adapter, _ = hf_folders.lora({"model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), "f4")})
    weights = converted(tmp_path / "model", hf_folders.llama())

    with pytest.raises(CreateError, match="made for another model"):
        converted(tmp_path / "adapter", adapter, weights)
