"""A folder of LFM2 becomes a model that computes what its weights do in llama.cpp's form."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Encoding

from model_store.errors import CreateError
from tests.support import hf_folders, hf_tokenizers
from tests.support.bare_llama import BareLlama
from tests.support.converting import converted
from tests.support.hf_folders import Files
from tests.support.hf_tokenizers import encoded
from tests.support.legacy.plain_file import PlainFile
from tests.support.legacy.text_models import N_EMBD, N_FF, N_HEADS, N_KV, N_LAYERS, lfm2

NAMES = {
    "attn_norm": "operator_norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.out_proj",
    "attn_q_norm": "self_attn.q_layernorm",
    "attn_k_norm": "self_attn.k_layernorm",
    "shortconv.conv": "conv.conv",
    "shortconv.in_proj": "conv.in_proj",
    "shortconv.out_proj": "conv.out_proj",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "feed_forward.w1",
    "ffn_up": "feed_forward.w3",
    "ffn_down": "feed_forward.w2",
}
CONFIG = {
    "architectures": ["Lfm2ForCausalLM"],
    "hidden_size": N_EMBD,
    "block_ff_dim": N_FF,
    "block_auto_adjust_ff_dim": False,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV,
    "max_position_embeddings": 512,
    "norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "conv_L_cache": 3,
    "layer_types": ["conv", "full_attention"],
    "tie_word_embeddings": True,
}


def reference() -> PlainFile:
    """Return the model as llama.cpp has it, with matrices in 16 bits."""
    file = lfm2()
    for name, tensor in file.tensors.items():
        if tensor.ndim == 2 and not name.endswith("shortconv.conv.weight"):
            file.kinds[name] = Encoding.F16
    return file


def folder(file: PlainFile, **changes: object) -> Files:
    """Return the folder of which `file` should be made."""
    tensors: dict[str, npt.NDArray[np.float32]] = {
        "model.embed_tokens.weight": file.tensors["token_embd.weight"],
        "model.embedding_norm.weight": file.tensors["token_embd_norm.weight"],
    }
    for name, tensor in file.tensors.items():
        if name.startswith("blk."):
            _, layer, rest = name.split(".", 2)
            source = NAMES[rest.removesuffix(".weight")]
            shaped = tensor[:, None] if source == "conv.conv" else tensor
            tensors[f"model.layers.{layer}.{source}.weight"] = shaped
    tokenizer = hf_tokenizers.pieces()
    n_vocab = hf_tokenizers.size_of(tokenizer)
    return {
        "config.json": encoded({**CONFIG, "vocab_size": n_vocab, **changes}),
        "tokenizer.json": encoded(tokenizer),
        "tokenizer_config.json": encoded({"bos_token": "<s>", "eos_token": "</s>"}),
        "model.safetensors": hf_folders.safetensors(tensors),
    }


def test_a_converted_folder_computes_the_same(tmp_path: Path) -> None:
    file = reference()
    expected = file.write(tmp_path / "expected.gguf")

    found = converted(tmp_path / "converted", folder(file))

    tokens = list(range(5, 60))
    wanted, logits = (BareLlama(path, 256).start(tokens) for path in (expected, found))
    np.testing.assert_array_equal(logits, wanted)


@pytest.mark.parametrize("kinds", [["full_attention", "conv"], ["conv"], None])
def test_layers_of_another_kind_than_the_configuration_says_are_refused(
    tmp_path: Path, kinds: list[str] | None
) -> None:
    with pytest.raises(CreateError, match=r"blk\.0\.attn_q|layer_types"):
        converted(tmp_path, folder(reference(), layer_types=kinds))
