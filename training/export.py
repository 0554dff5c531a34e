"""Weights to GGUF, quantised to Q8_0, with the tokenizer and the chat template inside."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, PoolingType, TokenType
from gguf.quants import quantize

from training.chat import CONTROL_TOKENS, END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, MARKS, START
from training.model import EPSILON, Params, Shape
from training.tokenizer import Vocabulary

Array = npt.NDArray[np.float32]
_CONTEXT = 2048
_TEMPLATE = Path(__file__).parent / "chat_template.jinja"


def write_guide(path: Path, vocabulary: Vocabulary, shape: Shape, params: Params) -> None:
    """Write a model that generates."""
    writer = _writer(
        "paddock guide",
        "Answers questions about paddock, calls tools and fills gaps; trained for paddock alone",
        shape,
    )
    _add_vocabulary(writer, vocabulary)
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    writer.add_bos_token_id(ids[START])
    writer.add_eos_token_id(ids[END])
    writer.add_eot_token_id(ids[END])
    writer.add_pad_token_id(ids[END])
    writer.add_uint32("tokenizer.ggml.fim_pre_token_id", ids[FIM_PREFIX])
    writer.add_uint32("tokenizer.ggml.fim_suf_token_id", ids[FIM_SUFFIX])
    writer.add_uint32("tokenizer.ggml.fim_mid_token_id", ids[FIM_MIDDLE])
    writer.add_chat_template(_TEMPLATE.read_text())
    _write(writer, path, params)


def write_embedder(path: Path, vocabulary: Vocabulary, shape: Shape, params: Params) -> None:
    """Write a model that turns texts into vectors."""
    writer = _writer(
        "paddock embedder",
        "Vectors of short English texts about paddock; trained for paddock alone",
        shape,
    )
    writer.add_pooling_type(PoolingType.MEAN)
    _add_vocabulary(writer, vocabulary)
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    writer.add_bos_token_id(ids[START])
    writer.add_eos_token_id(ids[END])
    _write(writer, path, params)


def _writer(name: str, description: str, shape: Shape) -> GGUFWriter:
    writer = GGUFWriter(None, "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_description(description)
    writer.add_author("the paddock authors")
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(shape.n_vocab)
    return writer


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    kinds = dict.fromkeys(CONTROL_TOKENS, TokenType.CONTROL)
    kinds |= dict.fromkeys(MARKS, TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([kinds.get(token, TokenType.NORMAL) for token in vocabulary.tokens])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _write(writer: GGUFWriter, path: Path, params: Params) -> None:
    for name, tensor in _tensors(params):
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor)
            continue
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(tensor, kind), raw_dtype=kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(params: Params) -> Iterator[tuple[str, Array]]:
    """Yield tensors by their names in GGUF; matrices have one row per output."""
    yield "token_embd.weight", params["embd"].numpy()
    for number, layer in enumerate(params["layers"]):
        names = {
            "attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v",
            "o": "attn_output", "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up",
            "down": "ffn_down",
        }  # fmt: skip
        for key, name in names.items():
            tensor = np.ascontiguousarray(layer[key].numpy().T)
            yield f"blk.{number}.{name}.weight", tensor
    yield "output_norm.weight", params["norm"].numpy()
