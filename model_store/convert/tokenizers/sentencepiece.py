"""Read SentencePiece models (`tokenizer.model`), protobuf messages of pieces and rules.

It is read with every length held against what is left of the file.
"""

import struct
from collections.abc import Iterator

from gguf import TokenType

from model_store.convert.tokenizers.vocabulary import MOST_TOKENS, Token, Vocabulary
from model_store.errors import CreateError

_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE = 3
_CHARSMAP, _ADDS_SPACE, _TRIMS_SPACE = 2, 3, 4
_UNIGRAM, _BPE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_SINGLE = struct.Struct("<f")

Value = int | memoryview


class _Malformed(Exception):
    """The bytes are not a protobuf message."""


def parse_sentencepiece(data: bytes) -> Vocabulary | None:
    """Return the vocabulary of a `tokenizer.model`, None when it is of another kind.

    Raises:
        CreateError: it has too many pieces, or finds them in a way that llama.cpp has not.
    """
    try:
        return _vocabulary(memoryview(data))
    except (_Malformed, struct.error):
        return None


def _vocabulary(data: memoryview) -> Vocabulary | None:
    tokens: dict[int, Token] = {}
    kind: Value = _UNIGRAM
    rules: dict[int, Value] = {}
    for field, value in _fields(data):
        if field == _PIECE:
            if len(tokens) == MOST_TOKENS:
                raise CreateError(f"tokenizer.model has more than {MOST_TOKENS} pieces")
            tokens[len(tokens)] = _token(value)
        elif field == _TRAINER:
            kind = dict(_fields(value)).get(_MODEL_TYPE, _UNIGRAM)
        elif field == _NORMALIZER:
            rules = dict(_fields(value))
    if not tokens:
        return None
    if kind not in (_UNIGRAM, _BPE):
        raise CreateError("tokenizer.model is neither a BPE nor a Unigram model")
    charsmap = rules.get(_CHARSMAP, b"")
    return Vocabulary(
        model="llama" if kind == _BPE else "t5",
        tokens=tokens,
        has_scores=True,
        adds_space=bool(rules.get(_ADDS_SPACE, True)),
        trims_space=None if kind == _BPE else bool(rules.get(_TRIMS_SPACE, True)),
        charsmap=bytes(charsmap) if kind == _UNIGRAM and not isinstance(charsmap, int) else b"",
        adds_bos=True if kind == _BPE else None,
        adds_eos=False if kind == _BPE else None,
    )


def _token(message: Value) -> Token:
    text, score, kind = "", 0.0, TokenType.NORMAL
    for field, value in _fields(message):
        if field == _TEXT and not isinstance(value, int):
            text = bytes(value).decode("utf-8", "replace")
        elif field == _SCORE and not isinstance(value, int):
            (score,) = _SINGLE.unpack(value)
        elif field == _KIND and isinstance(value, int):
            if value not in TokenType.__members__.values():
                raise _Malformed
            kind = TokenType(value)
    return Token(text, score, kind)


def _fields(message: Value) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field."""
    if isinstance(message, int):
        raise _Malformed
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, form = key >> 3, key & 7
        if form == _VARINT:
            number, at = _varint(message, at)
            yield field, number
            continue
        if form == _BYTES:
            size, at = _varint(message, at)
        elif form in (_FIXED32, _FIXED64):
            size = 4 if form == _FIXED32 else 8
        else:
            raise _Malformed
        if size > len(message) - at:
            raise _Malformed
        yield field, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise _Malformed
