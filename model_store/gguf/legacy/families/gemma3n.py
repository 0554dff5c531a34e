"""Gemma 3n in its legacy layout: text only, with tokens of images and audio in the vocabulary.

Facts, from the reference's converter and published files: the vocabulary and the token embedding
have 262,400 entries, the embedding of each layer 262,144. The kinds of tokens are those of another
tokenizer: single bytes and unused tokens are not marked as such. A turn ends with token 106.
"""

import re
from typing import Final

from model_store.gguf.header import GGUFHeader
from model_store.gguf.legacy.draft import Draft
from model_store.gguf.legacy.steps import TOKENS, Family, put, vocabulary_of_rows
from model_store.gguf.legacy.values import I32, U32, array, text

_ROWS = "per_layer_token_embd.weight"
_KINDS = "tokenizer.ggml.token_type"
_ENDS = "tokenizer.ggml.eos_token_ids"
_END_OF_TURN: Final = 106
_DEFAULT_ENDS: Final = (1, _END_OF_TURN)
_NORMAL: Final = 1
_BYTE: Final = 6
_BYTE_TOKEN = re.compile(rb"<0x[0-9A-Fa-f]{2}>")


def _is_legacy(header: GGUFHeader) -> bool:
    rows = {tensor.name: tensor.shape[-1] for tensor in header.tensors if tensor.shape}
    return _ROWS in rows and rows.get("token_embd.weight") != rows[_ROWS]


def _cut_embedding(draft: Draft) -> None:
    draft.cut_rows("token_embd.weight", draft.source.need(_ROWS).shape[-1])


def _mark_tokens(draft: Draft) -> None:
    rows = draft.source.need(_ROWS).shape[-1]
    kind, kinds = draft.source.numbers(_KINDS, rows)
    for number, token in enumerate(draft.source.strings(TOKENS, len(kinds))):
        if _BYTE_TOKEN.fullmatch(token):
            kinds[number] = _BYTE
        elif token.startswith(b"<unused"):
            kinds[number] = _NORMAL
    draft.put(_KINDS, array(kind, kinds))


def _end_turns(draft: Draft) -> None:
    ends = draft.source.header.integers(_ENDS) or _DEFAULT_ENDS
    is_unsigned = all(end >= 0 for end in ends)
    draft.put(_ENDS, array(U32 if is_unsigned else I32, tuple({*ends, _END_OF_TURN})))


FAMILY = Family(
    architectures=("gemma3n",),
    is_legacy=_is_legacy,
    text=(
        put("tokenizer.ggml.model", text("llama")),
        _cut_embedding,
        vocabulary_of_rows(_ROWS),
        _mark_tokens,
        _end_turns,
    ),
)
