"""TokenizerRunners as model folders have them, of the vocabularies that the tiny models have."""

import json
import struct
from itertools import pairwise
from typing import Any

from gguf import TokenType

from tests.support.tiny_models import SPACE, llama_pieces

QWEN2_RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_RULE = QWEN2_RULE.replace(r"|\p{N}| ?", r"|\p{N}{1,3}| ?")
MERGES = ("t h", "th e", "Ġ the", "i n", "a n", "Ġ a", "Ġa n", "an d", "o n", "Ġ t", "e r", "o u")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_alphabet() -> list[str]:
    """Return the printable characters that stand for the bytes 0 to 255 in byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def byte_level(rule: str = QWEN2_RULE, **model: Any) -> dict[str, Any]:
    """Return a tokenizer.json of byte-level BPE; the special tokens come last."""
    texts = [*byte_alphabet(), *("".join(merge.split()) for merge in MERGES)]
    vocab = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return {
        "added_tokens": [
            {"id": len(vocab) + n, "content": text, "special": True}
            for n, text in enumerate(SPECIAL)
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": rule}, "behavior": "Isolated"},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        },
        "model": {"type": "BPE", "vocab": vocab, "merges": list(MERGES), **model},
    }


def pieces() -> dict[str, Any]:
    """Return a tokenizer.json of BPE as SentencePiece has it: the vocabulary of `write_llama`."""
    listed = list(llama_pieces())
    texts = [text for text, _, _ in listed]
    plain = sorted((piece for piece in listed if piece[2] == TokenType.NORMAL), key=lambda p: -p[1])
    merges = [
        (text[:cut], text[cut:])
        for text, _, _ in plain
        for cut in range(1, len(text))
        if text[:cut] in texts and text[cut:] in texts
    ]
    return {
        "added_tokens": [
            {"id": number, "content": text, "special": True}
            for number, (text, _, kind) in enumerate(listed)
            if kind in (TokenType.CONTROL, TokenType.UNKNOWN)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "byte_fallback": True,
            "vocab": {text: number for number, text in enumerate(texts)},
            "merges": [list(merge) for merge in merges],
        },
    }


def sentencepiece(*, model_type: int = 2) -> bytes:
    """Return a tokenizer.model with the vocabulary of `write_llama`."""
    data = b"".join(
        _bytes_field(1, _piece(text, score, kind)) for text, score, kind in llama_pieces()
    )
    return (
        data + _bytes_field(2, _number_field(3, model_type)) + _bytes_field(3, _number_field(3, 1))
    )


def wordpiece() -> dict[str, Any]:
    """Return a tokenizer.json as BERT has it."""
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = ["the", "dog", "ran", "little", "girl"]
    texts = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *words]
    texts += [f"##{text}" for text in (*letters, "ly")]
    return {
        "added_tokens": [
            {"id": n, "content": text, "special": True} for n, text in enumerate(texts[:5])
        ],
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "vocab": {text: n for n, text in enumerate(texts)}},
    }


def unigram() -> dict[str, Any]:
    """Return a tokenizer.json as XLM-RoBERTa has it."""
    listed = [(text, score) for text, score, kind in llama_pieces() if kind == TokenType.NORMAL]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = [*((text, 0.0) for text in special), *((text, score - 20) for text, score in listed)]
    return {
        "added_tokens": [
            {"id": n, "content": text, "special": True} for n, text in enumerate(special)
        ],
        "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "add_prefix_space": True},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": [list(entry) for entry in vocab]},
    }


def size_of(tokenizer: dict[str, Any]) -> int:
    """Return how many tokens a tokenizer.json has."""
    model = tokenizer["model"]["vocab"]
    numbers = model.values() if isinstance(model, dict) else range(len(model))
    return 1 + max([*numbers, *(added["id"] for added in tokenizer["added_tokens"])])


def encoded(fields: object) -> bytes:
    """Return the bytes of a JSON file."""
    return json.dumps(fields).encode()


def _piece(text: str, score: float, kind: TokenType) -> bytes:
    fixed = b"\x15" + struct.pack("<f", score)
    return _bytes_field(1, text.encode()) + fixed + _number_field(3, kind)


def _bytes_field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(group | 0x80 for group, _ in pairwise(groups)), groups[-1]])
