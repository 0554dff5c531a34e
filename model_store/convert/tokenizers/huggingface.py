"""Read tokenizer.json: byte-level BPE, SentencePiece-style BPE, WordPiece and Unigram."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping

from gguf import TokenType

from model_store.convert.fields import Fields
from model_store.convert.tokenizers.pretokenizers import pretokenizer
from model_store.convert.tokenizers.vocabulary import (
    UNUSED_SCORE,
    Token,
    Vocabulary,
    checked_id,
)
from model_store.errors import CreateError

SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_CONTINUES = "##"
_DEEPEST = 16


def parse_tokenizer(tokenizer: Fields) -> Vocabulary:
    """Return the vocabulary of a tokenizer.json; raises CreateError."""
    model = tokenizer.inner("model")
    kind = model.text("type") or ("BPE" if model.has("merges") else "WordPiece")
    if kind == "BPE":
        is_pieces = model.flag("byte_fallback") or SPACE in _texts(tokenizer, "normalizer")
        vocabulary = (_pieces if is_pieces else _bytes)(tokenizer, model)
    elif kind == "WordPiece":
        vocabulary = wordpiece(_numbered(model).items())
    elif kind == "Unigram":
        vocabulary = _unigram(tokenizer, model)
    else:
        raise CreateError(
            "the tokenizer's algorithm is not supported; BPE, WordPiece and Unigram are"
        )
    for added in tokenizer.objects("added_tokens"):
        number = checked_id(added, "id", added.value("id"))
        vocabulary.add(number, added.text("content"), special=added.flag("special"))
    return vocabulary


def wordpiece(numbered: Iterable[tuple[str, int]]) -> Vocabulary:
    """Return a vocabulary of BERT's kind, of pairs of text and id.

    llama.cpp marks the beginnings of words where BERT marks what continues them.
    """
    vocabulary = Vocabulary(model="bert", tokens={})
    for text, number in numbered:
        if text.startswith("[") and text.endswith("]"):
            vocabulary.put(number, Token(text, 0.0, TokenType.CONTROL))
        elif text.startswith(_CONTINUES):
            vocabulary.put(number, Token(text.removeprefix(_CONTINUES)))
        else:
            vocabulary.put(number, Token(SPACE + text))
    return vocabulary


def _numbered(model: Fields) -> dict[str, int]:
    vocab = model.inner("vocab")
    return {text: checked_id(vocab, text, number) for text, number in vocab.items()}


def _bytes(tokenizer: Fields, model: Fields) -> Vocabulary:
    vocabulary = Vocabulary(model="gpt2", pre=pretokenizer(tokenizer), tokens={})
    for text, number in _numbered(model).items():
        vocabulary.put(number, Token(text))
    vocabulary.merges = [
        " ".join(part.replace(" ", "Ġ") for part in pair) for pair in _merges(model)
    ]
    return vocabulary


def _pieces(tokenizer: Fields, model: Fields) -> Vocabulary:
    """Score BPE tokens as SentencePiece does: earlier merges score higher."""
    ranks: dict[str, int] = {}
    for left, right in _merges(model):
        ranks.setdefault(left + right, len(ranks))
    unknown = model.text("unk_token")
    vocabulary = Vocabulary(
        model="llama", tokens={}, has_scores=True, adds_space=_adds_space(tokenizer)
    )
    for text, number in _numbered(model).items():
        kind = TokenType.BYTE if _BYTE.fullmatch(text) else TokenType.NORMAL
        if text == unknown:
            kind = TokenType.UNKNOWN
        score = -float(ranks[text]) if text in ranks else UNUSED_SCORE
        vocabulary.put(number, Token(text, score, kind))
    return vocabulary


def _merges(model: Fields) -> Iterator[tuple[str, str]]:
    merges = model.value("merges") or []
    if not isinstance(merges, list):
        raise model.wrong("merges", "a list")
    for merge in merges:
        pair = tuple(merge.split(" ")) if isinstance(merge, str) else merge
        match pair:
            case (str(left), str(right)) | [str(left), str(right)]:
                yield left, right
            case _:
                raise model.wrong("merges", "a list of pairs of texts")


def _unigram(tokenizer: Fields, model: Fields) -> Vocabulary:
    pieces = model.value("vocab")
    if not isinstance(pieces, list):
        raise model.wrong("vocab", "a list")
    vocabulary = Vocabulary(
        model="t5",
        tokens={},
        has_scores=True,
        adds_space=_adds_space(tokenizer),
        trims_space=_trims_space(tokenizer),
        charsmap=_charsmap(tokenizer),
    )
    for number, piece in enumerate(pieces):
        match piece:
            case [str(text), int() | float() as score]:
                vocabulary.put(number, Token(text, max(-1e9, min(1e9, float(score)))))
            case _:
                raise model.wrong("vocab", "a list of texts and their scores")
    unknown = model.value("unk_id")
    if unknown is not None:
        number = checked_id(model, "unk_id", unknown)
        text = vocabulary.tokens.get(number, Token("<unk>")).text
        vocabulary.put(number, Token(text, 0.0, TokenType.UNKNOWN))
    return vocabulary


def _charsmap(tokenizer: Fields) -> bytes:
    for step in _parts(tokenizer.inner("normalizer"), "normalizers"):
        encoded = step.text("precompiled_charsmap")
        if encoded:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error as e:
                raise step.wrong("precompiled_charsmap", "base64") from e
    return b""


def _adds_space(tokenizer: Fields) -> bool:
    """Tell whether a space is put before the text."""
    for step in _parts(tokenizer.inner("normalizer"), "normalizers"):
        if step.text("type") == "Prepend":
            return True
    for step in _parts(tokenizer.inner("pre_tokenizer"), "pretokenizers"):
        if step.text("type") == "Metaspace":
            scheme = step.text("prepend_scheme")
            return scheme != "never" if scheme else step.flag("add_prefix_space", default=True)
    return False


def _trims_space(tokenizer: Fields) -> bool:
    """Tell whether several spaces count as one."""
    replaced = (
        step.inner("pattern").text("Regex")
        for step in _parts(tokenizer.inner("normalizer"), "normalizers")
        if step.text("type") == "Replace"
    )
    steps = _parts(tokenizer.inner("pre_tokenizer"), "pretokenizers")
    return " {2,}" in replaced or any(step.text("type") == "WhitespaceSplit" for step in steps)


def _parts(step: Fields, name: str) -> list[Fields]:
    return step.objects(name) if step.text("type") == "Sequence" else [step]


def _texts(tokenizer: Fields, *names: str) -> set[str]:
    """Return all texts that stand somewhere in these parts."""
    texts: set[str] = set()
    left: list[tuple[object, int]] = [(tokenizer.value(name), 0) for name in names]
    while left:
        value, depth = left.pop()
        if isinstance(value, str):
            texts.add(value)
        elif depth < _DEEPEST and isinstance(value, Mapping | list):
            inner = value.values() if isinstance(value, Mapping) else value
            left.extend((item, depth + 1) for item in inner)
    return texts
