"""Vocabularies with any special tokens, as files without weights."""

import string
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from gguf import GGUFWriter, TokenType

from tests.support.tiny_models import SPACE, write_file

Kind = Literal["bpe", "spm", "spm without space"]

_MERGES = ("t h", "th e", "Ġ the", "Ġ a", "a n", "an d", "Ġ and", "i n", "< |", "| >", "e n", "Ċ Ċ")


def write_vocabulary(
    path: Path, kind: Kind, *, control: Iterable[str], user_defined: Iterable[str] = ()
) -> Path:
    """Write a vocabulary that can write any text; return `path`.

    "bpe" is GPT-2's kind with a few merges; the others are SentencePiece, with a space before each
    text or without.
    """
    special = [(text, TokenType.CONTROL) for text in control]
    special += [(text, TokenType.USER_DEFINED) for text in user_defined]
    writer = GGUFWriter(None, "llama")
    writer.add_name("vocabulary")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    if kind == "bpe":
        _add_bpe(writer, special)
    else:
        _add_sentencepiece(writer, special, space_prefix=kind == "spm")
    return write_file(writer, path)


def _add_bpe(writer: GGUFWriter, special: list[tuple[str, TokenType]]) -> None:
    letters = [*map(_letter, range(256)), *("".join(merge.split()) for merge in _MERGES)]
    tokens = [*((letter, TokenType.NORMAL) for letter in letters), *special]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_token_merges(list(_MERGES))
    writer.add_add_bos_token(False)


def _letter(byte: int) -> str:
    """Return the character that stands for a byte in GPT-2's vocabularies."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(0x100 + [b for b in range(256) if b not in printable].index(byte))


def _add_sentencepiece(
    writer: GGUFWriter, special: list[tuple[str, TokenType]], *, space_prefix: bool
) -> None:
    words = [SPACE, *string.printable[:94], "th", "the", f"{SPACE}the", "an", "and", "<|", "|>"]
    tokens = [
        ("<unk>", TokenType.UNKNOWN),
        ("<s>", TokenType.CONTROL),
        *((f"<0x{value:02X}>", TokenType.BYTE) for value in range(256)),
        *((text, TokenType.NORMAL) for text in words),
        *(each for each in special if each[0] not in ("<unk>", "<s>")),
    ]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([float(len(text)) for text, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(space_prefix)
