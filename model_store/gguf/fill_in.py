"""Find the tokens by which a model was trained to fill in the middle (FIM) between two texts.

The metadata names them (`tokenizer.ggml.fim_pre_token_id`, before 2024-11
`tokenizer.ggml.prefix_token_id`), or the vocabulary has texts that a family is known to use. The
texts are those of the model cards, and of `llama_vocab` in llama.cpp.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_store.disk import open_regular
from model_store.gguf.chat import token_text
from model_store.gguf.header import Array
from model_store.gguf.parser import FileOffsets, read_offsets

_TOKENS: Final = "tokenizer.ggml.tokens"
_KEYS: Final = (
    ("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id"),
    ("prefix_token_id", "suffix_token_id", "middle_token_id"),
)
_MAX_VOCABULARY_BYTES: Final = 2**26


@dataclass(frozen=True, slots=True)
class FillInTokens:
    """The texts of the tokens before prefix, suffix and the text to write.

    `middle` is empty where the text follows the prefix. With `suffix_first` the suffix comes first.
    """

    prefix: str
    suffix: str
    middle: str
    suffix_first: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The tokens that the family has."""
        return tuple(text for text in (self.prefix, self.suffix, self.middle) if text)


_FAMILIES: Final = (
    FillInTokens("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma, Granite
    FillInTokens("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite Code
    FillInTokens("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    FillInTokens("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    FillInTokens("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    FillInTokens("<PRE>", "<SUF>", "<MID>"),
    FillInTokens("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    FillInTokens("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", suffix_first=True),  # Seed
    FillInTokens("[PREFIX]", "[SUFFIX]", "", suffix_first=True),  # Codestral
)


def read_fill_in_tokens(path: Path) -> FillInTokens | None:
    """Return the tokens of the model at `path`, None when it has none.

    Raises:
        GGUFError: the file is damaged.
        OSError: it cannot be read.
    """
    offsets = read_offsets(path)
    named = _named_tokens(path, offsets)
    if named is not None:
        return next((family for family in _FAMILIES if family.texts == named.texts), named)
    vocabulary = _vocabulary(path, offsets)
    length = struct.Struct(offsets.order + ("I" if offsets.header.version == 1 else "Q"))
    for family in _FAMILIES:
        encoded = (text.encode() for text in family.texts)
        if all(length.pack(len(text)) + text in vocabulary for text in encoded):
            return family
    return None


def _named_tokens(path: Path, offsets: FileOffsets) -> FillInTokens | None:
    for keys in _KEYS:
        ids = [offsets.header.integer(f"tokenizer.ggml.{key}") for key in keys]
        if None in ids:
            continue
        prefix, suffix, middle = (token_text(path, offsets, number) for number in ids)
        if prefix and suffix and middle:
            return FillInTokens(prefix, suffix, middle)
    return None


def _vocabulary(path: Path, offsets: FileOffsets) -> bytes:
    """Return the texts of all tokens as they are in the file, each behind its length."""
    if not isinstance(offsets.header.metadata.get(_TOKENS), Array):
        return b""
    start, end = offsets.keys[_TOKENS]
    if end - start > _MAX_VOCABULARY_BYTES:
        return b""
    with open_regular(path) as file:
        return os.pread(file.fileno(), end - start, start)
