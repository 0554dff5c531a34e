"""Llama 3 in its legacy layout: the pre-tokenizer is not named.

Facts, from early published files: `tokenizer.ggml.pre` is missing or `default`. The vocabulary is
known by its tokens 128006 (`<|start_header_id|>`) and 128009 (`<|eot_id|>`). What ends a turn needs
no change: llama.cpp knows `<|eot_id|>` by its text.
"""

from model_store.gguf.header import Array, GGUFHeader
from model_store.gguf.legacy.source import SourceFile
from model_store.gguf.legacy.steps import TOKENS, Family, put
from model_store.gguf.legacy.values import text

_PRE = "tokenizer.ggml.pre"
_MARKS = {128006: b"<|start_header_id|>", 128009: b"<|eot_id|>"}


def _is_legacy(header: GGUFHeader) -> bool:
    tokens = header.metadata.get(TOKENS)
    has_room = isinstance(tokens, Array) and tokens.length > max(_MARKS)
    return has_room and header.text(_PRE) in (None, "", "default")


def _has_marks(source: SourceFile) -> bool:
    tokens = source.strings(TOKENS, max(_MARKS) + 1)
    return all(tokens[number] == mark for number, mark in _MARKS.items())


FAMILY = Family(
    architectures=("llama",),
    is_legacy=_is_legacy,
    is_confirmed=_has_marks,
    text=(put(_PRE, text("llama-bpe")),),
)
