"""Models of a realistic shape with random weights, made here and kept in `models/`.

Right for measuring speed, useless for reading: a step costs what it costs in a trained model of
the same shape, and the end of the text is practically never drawn.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, PoolingType, TokenType
from gguf.quants import quantize

FOLDER = Path(__file__).parent / "models"
SPACE = "\u2581"
SYLLABLES = [c + v for c, v in itertools.product("bcdfghjklmnpqrstvwxyz", "aeiou")]
CHARACTERS = [chr(code) for code in range(33, 127)]
N_CTX_TRAIN = 32_768


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model; `n_vocab` includes special and byte tokens."""

    name: str
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    n_ff: int
    n_vocab: int


SMALL = Shape("135m", 30, 576, 9, 3, 1536, 49_152)
IN_BLOCKS = Shape("100m", 12, 768, 12, 4, 2048, 32_768)
"""All rows are whole blocks of K-quants (256 elements), so that none falls back to another type."""
LARGE_VOCABULARY = Shape("500m", 24, 896, 14, 2, 4864, 151_936)
EMBEDDING = Shape("embedding-22m", 6, 384, 12, 12, 1536, 30_522)


def generative(
    shape: Shape = SMALL,
    *,
    chat_template: str = "",
    kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
) -> Path:
    """Return the path of a Llama-architecture model, making it on first use.

    Its matrices are of `kind`, which is Q8_0 or F16.
    """
    return _made(shape, partial(_write_llama, chat_template=chat_template, kind=kind), kind)


def embedding(shape: Shape = EMBEDDING) -> Path:
    """Return the path of a BERT model in Q8_0 with mean pooling, making it on first use."""
    return _made(shape, _write_bert)


def words(count: int, seed: int) -> str:
    """Return `count` made-up words of two syllables, a token each."""
    drawn = np.random.default_rng(seed).choice(SYLLABLES, (count, 2))
    return " ".join(first + second for first, second in drawn.tolist())


def _made(
    shape: Shape,
    write: Callable[[Shape, Path], None],
    kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
) -> Path:
    path = FOLDER / f"{shape.name}-{kind.name.lower()}.gguf"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        print(f"making {path.name} ...", flush=True)
        unfinished = path.with_suffix(".partial")
        write(shape, unfinished)
        unfinished.rename(path)
    return path


class _Weights:
    """Adds random tensors to a file: matrices in `kind`, vectors in F32."""

    def __init__(
        self, writer: GGUFWriter, kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0
    ) -> None:
        self._writer, self._kind = writer, kind
        self._rng = np.random.default_rng(0)

    def matrix(self, name: str, n_out: int, n_in: int) -> None:
        values = self._rng.standard_normal((n_out, n_in), dtype=np.float32) * np.float32(0.02)
        self._writer.add_tensor(
            f"{name}.weight", quantize(values, self._kind), raw_dtype=self._kind
        )

    def norm(self, name: str, n_embd: int, *, bias: bool = False) -> None:
        self._writer.add_tensor(f"{name}.weight", np.ones(n_embd, np.float32))
        if bias:
            self.bias(name, n_embd)

    def bias(self, name: str, n: int) -> None:
        self._writer.add_tensor(f"{name}.bias", np.zeros(n, np.float32))

    def table(self, name: str, n_rows: int, n_embd: int) -> None:
        values = self._rng.standard_normal((n_rows, n_embd), dtype=np.float32) * np.float32(0.02)
        self._writer.add_tensor(f"{name}.weight", values)


def _writer(
    architecture: str,
    shape: Shape,
    n_ctx: int,
    kind: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
) -> GGUFWriter:
    writer = GGUFWriter(None, architecture)
    writer.add_name(shape.name)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_heads)
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind.name}"])
    writer.add_vocab_size(shape.n_vocab)
    return writer


def _finish(writer: GGUFWriter, path: Path) -> None:
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_llama(
    shape: Shape, path: Path, *, chat_template: str, kind: GGMLQuantizationType
) -> None:
    head_dim = shape.n_embd // shape.n_heads
    n_kv = shape.n_kv_heads * head_dim
    writer = _writer("llama", shape, N_CTX_TRAIN, kind)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    add_sentencepiece(writer, shape.n_vocab)
    if chat_template:
        writer.add_chat_template(chat_template)
    weights = _Weights(writer, kind)
    weights.matrix("token_embd", shape.n_vocab, shape.n_embd)
    for layer in range(shape.n_layers):
        prefix = f"blk.{layer}."
        weights.norm(prefix + "attn_norm", shape.n_embd)
        weights.matrix(prefix + "attn_q", shape.n_embd, shape.n_embd)
        weights.matrix(prefix + "attn_k", n_kv, shape.n_embd)
        weights.matrix(prefix + "attn_v", n_kv, shape.n_embd)
        weights.matrix(prefix + "attn_output", shape.n_embd, shape.n_embd)
        weights.norm(prefix + "ffn_norm", shape.n_embd)
        weights.matrix(prefix + "ffn_gate", shape.n_ff, shape.n_embd)
        weights.matrix(prefix + "ffn_up", shape.n_ff, shape.n_embd)
        weights.matrix(prefix + "ffn_down", shape.n_embd, shape.n_ff)
    weights.norm("output_norm", shape.n_embd)
    _finish(writer, path)


def _write_bert(shape: Shape, path: Path) -> None:
    n_ctx = 512
    writer = _writer("bert", shape, n_ctx)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(PoolingType.MEAN)
    _add_wordpiece(writer, shape.n_vocab)
    weights = _Weights(writer)
    weights.matrix("token_embd", shape.n_vocab, shape.n_embd)
    weights.table("position_embd", n_ctx, shape.n_embd)
    weights.table("token_types", 2, shape.n_embd)
    weights.norm("token_embd_norm", shape.n_embd, bias=True)
    for layer in range(shape.n_layers):
        prefix = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights.matrix(prefix + name, shape.n_embd, shape.n_embd)
            weights.bias(prefix + name, shape.n_embd)
        weights.norm(prefix + "attn_output_norm", shape.n_embd, bias=True)
        weights.matrix(prefix + "ffn_up", shape.n_ff, shape.n_embd)
        weights.bias(prefix + "ffn_up", shape.n_ff)
        weights.matrix(prefix + "ffn_down", shape.n_embd, shape.n_ff)
        weights.bias(prefix + "ffn_down", shape.n_embd)
        weights.norm(prefix + "layer_output_norm", shape.n_embd, bias=True)
    _finish(writer, path)


def _made_up() -> Iterator[str]:
    """Syllables, then words of two and of three, without end in practice."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(SYLLABLES, repeat=length))


def add_sentencepiece(writer: GGUFWriter, n_vocab: int) -> None:
    """Add a SentencePiece vocabulary of made-up words, of `n_vocab` tokens."""
    special = ["<unk>", "<s>", "</s>"]
    texts = [*special, *(f"<0x{value:02X}>" for value in range(256)), SPACE, *CHARACTERS]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
    for word in _made_up():
        texts += [word, SPACE + word]
        if len(texts) >= n_vocab:
            break
    texts = texts[:n_vocab]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(texts)
    writer.add_token_scores([float(len(text)) for text in texts])
    writer.add_token_types(kinds + [TokenType.NORMAL] * (n_vocab - len(kinds)))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(value=True)


def _add_wordpiece(writer: GGUFWriter, n_vocab: int) -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    stems = itertools.chain(CHARACTERS, _made_up())
    pieces = itertools.chain.from_iterable((SPACE + stem, stem) for stem in stems)
    texts = [*special, *itertools.islice(pieces, n_vocab - len(special))]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(texts)
    kinds = [TokenType.CONTROL] * len(special)
    writer.add_token_types(kinds + [TokenType.NORMAL] * (n_vocab - len(kinds)))
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
