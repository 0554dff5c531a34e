"""Model files small enough to write for every test: random weights, real formats.

They load in milliseconds and compute in microseconds per token, and the same arguments always
give the same bytes. Their text means nothing; what it shows is that every token has a piece, that
greedy output varies and that some prompts run into an end-of-generation token.
"""

import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFWriter, LlamaFileType, PoolingType, TokenType

Array = npt.NDArray[np.float32]
Vocabulary = Literal["bytes", "words"]
Piece = tuple[str, float, TokenType]

UNK, BOS, EOS, IM_START, IM_END = range(5)
"""Ids of the first tokens of every vocabulary that `write_llama` writes."""

SPACE: Final = "▁"
WORDS: Final = (
    " the", " a", " and", " to", " was", " she", " he", " in", " of", " it", " little", " girl",
    " boy", " dog", " cat", " tree", " sun", " day", " one", " said", " big", " happy", " once",
    " upon", " time", " there", " with", " play", " home", " saw", " went", " they", "ing", "ed",
    "er", "ly", "Once", "Hello", "User", "Assistant", "true", "false", "null", '":', '",', '{"',
    "\n\n", " café", " naïve", " 日本", "東京", " 🙂", " 👋🏽",
)  # fmt: skip
CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template that fits the control tokens of these vocabularies."""


def write_llama(
    path: Path,
    *,
    n_ctx: int = 256,
    n_layers: int = 2,
    n_embd: int = 32,
    n_heads: int = 4,
    seed: int = 0,
    chat_template: str | None = None,
    vocab: Vocabulary = "bytes",
    ends: bool = True,
    suppressed: Sequence[int] = (),
    pooling: PoolingType | None = None,
) -> Path:
    """Write a Llama-architecture model with a SentencePiece vocabulary; return `path`.

    `vocab` "words" leaves the byte tokens out, so that text outside ASCII cannot be tokenised
    (llama.cpp aborts the process on it). Without `ends` greedy output goes on until it is stopped.
    `suppressed` are ids of tokens that must never be generated. With `pooling` it is an embedding
    model. `n_embd` must be a multiple of 2 * `n_heads`.
    """
    pieces = [piece for piece in llama_pieces() if vocab == "bytes" or piece[2] != TokenType.BYTE]
    n_ff = 2 * n_embd
    head_dim = n_embd // n_heads
    writer = GGUFWriter(None, "llama")
    writer.add_name("tiny llama")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads // 2)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(pieces))
    add_sentencepiece(writer, pieces)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    if suppressed:
        writer.add_array("tokenizer.ggml.suppress_tokens", suppressed)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), n_embd))
    for layer in range(n_layers):
        for name, tensor in llama_layer(draw, n_embd, head_dim * (n_heads // 2), n_ff):
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
    writer.add_tensor("output_norm.weight", np.ones(n_embd, np.float32))
    writer.add_tensor("output.weight", output_layer(draw, pieces, n_embd, ends=ends))
    return write_file(writer, path)


def write_bert(
    path: Path,
    *,
    n_ctx: int = 128,
    n_layers: int = 2,
    n_embd: int = 32,
    seed: int = 0,
    ranks: bool = False,
) -> Path:
    """Write a BERT embedding model (mean pooling, WordPiece vocabulary); return `path`.

    With `ranks` it has a head that turns a pair of texts into a score.
    """
    pieces = wordpieces()
    n_ff = 2 * n_embd
    writer = GGUFWriter(None, "bert")
    writer.add_name("tiny bert")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.RANK if ranks else PoolingType.MEAN)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(pieces))
    add_wordpiece(writer, pieces)
    draw = normal(seed)
    writer.add_tensor("token_embd.weight", draw(len(pieces), n_embd))
    writer.add_tensor("position_embd.weight", 0.1 * draw(n_ctx, n_embd))
    writer.add_tensor("token_types.weight", 0.1 * draw(2, n_embd))
    _add_layer_norm(writer, "token_embd_norm", n_embd)
    for layer in range(n_layers):
        _add_bert_layer(writer, f"blk.{layer}.", draw, n_embd, n_ff)
    if ranks:
        writer.add_tensor("cls.weight", draw(n_embd, n_embd) / np.float32(n_embd**0.5))
        writer.add_tensor("cls.bias", 0.1 * draw(n_embd))
        writer.add_tensor("cls.output.weight", draw(1, n_embd) / np.float32(n_embd**0.5))
        writer.add_tensor("cls.output.bias", 0.1 * draw(1))
    return write_file(writer, path)


def write_lora(path: Path, base: Path, *, rank: int = 4, seed: int = 1) -> Path:
    """Write a LoRA adapter over the attention of `base` that changes its output; return `path`."""
    reader = GGUFReader(base)
    writer = GGUFWriter(None, str(reader.fields["general.architecture"].contents()))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(2 * rank))
    writer.add_file_type(LlamaFileType.ALL_F32)
    draw = normal(seed)
    for tensor in reader.tensors:
        if not tensor.name.endswith(("attn_v.weight", "attn_output.weight")):
            continue
        n_in, n_out = (int(n) for n in tensor.shape)
        writer.add_tensor(f"{tensor.name}.lora_a", draw(rank, n_in) / np.float32(n_in**0.5))
        writer.add_tensor(f"{tensor.name}.lora_b", draw(n_out, rank))
    return write_file(writer, path)


def write_file(writer: GGUFWriter, path: Path) -> Path:
    """Write what was added to `writer`; return `path`."""
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def normal(seed: int) -> Callable[..., Array]:
    """Return a function that draws arrays of a shape, always the same for one seed."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape, dtype=np.float32)


def llama_pieces() -> Iterator[Piece]:
    """Special tokens, the bytes, printable ASCII, then the words with all of their beginnings.

    SentencePiece merges two neighbours at a time, so a word is reached only through its beginnings.
    """
    yield "<unk>", 0.0, TokenType.UNKNOWN
    for special in ("<s>", "</s>", "<|im_start|>", "<|im_end|>"):
        yield special, 0.0, TokenType.CONTROL
    for value in range(256):
        yield f"<0x{value:02X}>", 0.0, TokenType.BYTE
    words = [word.replace(" ", SPACE) for word in WORDS]
    letters = [SPACE, *string.printable[:94]]
    beginnings = [word[:n] for word in words for n in range(1, len(word) + 1)]
    for rank, text in enumerate(dict.fromkeys([*letters, *beginnings])):
        yield text, float(len(text) - rank / 1000), TokenType.NORMAL


def add_sentencepiece(writer: GGUFWriter, pieces: list[Piece]) -> None:
    """Add the tokenizer of `llama_pieces`."""
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _, _ in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_types([kind for _, _, kind in pieces])
    writer.add_unk_token_id(UNK)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)


def llama_layer(
    draw: Callable[..., Array], n_embd: int, n_kv: int, n_ff: int
) -> Iterator[tuple[str, Array]]:
    """Attention is sharp and strong, so that each token depends on all before it."""
    width = np.float32(n_embd**0.5)
    yield "attn_norm", np.ones(n_embd, np.float32)
    yield "attn_q", 2 * draw(n_embd, n_embd) / width
    yield "attn_k", 2 * draw(n_kv, n_embd) / width
    yield "attn_v", 2 * draw(n_kv, n_embd) / width
    yield "attn_output", 2 * draw(n_embd, n_embd) / width
    yield "ffn_norm", np.ones(n_embd, np.float32)
    yield "ffn_gate", draw(n_ff, n_embd) / width
    yield "ffn_up", draw(n_ff, n_embd) / width
    yield "ffn_down", 2 * draw(n_embd, n_ff) / np.float32(n_ff**0.5)


def output_layer(
    draw: Callable[..., Array], pieces: list[Piece], n_embd: int, *, ends: bool
) -> Array:
    """Rows of the output layer: words are likely, single bytes rare, the end now and then."""
    scale = {TokenType.NORMAL: 3.0, TokenType.BYTE: 1.5}
    rows = np.array([scale.get(kind, 0.0) for _, _, kind in pieces], np.float32)
    rows[EOS] = 3.0 if ends else 0.0
    return rows[:, None] * draw(len(pieces), n_embd) / np.float32(n_embd**0.5)


def wordpieces() -> list[str]:
    """Special tokens, then each piece as a beginning (marked) and as a continuation of a word."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    stems = dict.fromkeys([*characters, *(word.strip().lower() for word in WORDS if word.strip())])
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(SPACE + stem for stem in stems), *stems]


def add_wordpiece(writer: GGUFWriter, pieces: list[str]) -> None:
    """Add the tokenizer of `wordpieces`."""
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(pieces)
    n_special = 5
    kinds = [TokenType.CONTROL] * n_special + [TokenType.NORMAL] * (len(pieces) - n_special)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)


def _add_layer_norm(writer: GGUFWriter, name: str, n_embd: int) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(n_embd, np.float32))
    writer.add_tensor(f"{name}.bias", np.zeros(n_embd, np.float32))


def _add_bert_layer(
    writer: GGUFWriter, prefix: str, draw: Callable[..., Array], n_embd: int, n_ff: int
) -> None:
    shapes = {
        "attn_q": (n_embd, n_embd),
        "attn_k": (n_embd, n_embd),
        "attn_v": (n_embd, n_embd),
        "attn_output": (n_embd, n_embd),
        "ffn_up": (n_ff, n_embd),
        "ffn_down": (n_embd, n_ff),
    }
    for name, (n_out, n_in) in shapes.items():
        writer.add_tensor(f"{prefix}{name}.weight", draw(n_out, n_in) / np.float32(n_in**0.5))
        writer.add_tensor(f"{prefix}{name}.bias", 0.1 * draw(n_out))
    _add_layer_norm(writer, f"{prefix}attn_output_norm", n_embd)
    _add_layer_norm(writer, f"{prefix}layer_output_norm", n_embd)
