"""Small tokenizers of Hugging Face's library, trained here, with the rules of published models.

The pre-tokenizers are those of published `tokenizer.json` files, by llama.cpp's name of them
(`tokenizer.ggml.pre`); llama.cpp has the regular expressions in the comments of `llama-vocab.cpp`.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gguf import GGUFWriter, TokenType
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.support.families.hard_strings import HARD_STRINGS
from tests.support.tiny_models import SPACE, write_file

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_LETTERS = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
_LINE_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CAPITALISED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_CAPITALS = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_LLAMA3 = _LETTERS + r"|\p{N}{1,3}" + _SIGNS + _SPACES
_DEEPSEEK = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*" + _SPACES
)


def _rules(*patterns: str) -> pre_tokenizers.PreTokenizer:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, plain])


_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
_DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2])
PRE_TOKENIZERS: Final[Mapping[str, pre_tokenizers.PreTokenizer]] = {
    "gpt-2": _GPT2,
    "starcoder": _DIGITS,
    "smollm": _DIGITS,
    "command-r": _DIGITS,
    "llama-bpe": _rules(_LLAMA3),
    "dbrx": _rules(_LLAMA3),
    "chatglm-bpe": _rules(_LLAMA3),
    "qwen2": _rules(_LETTERS + r"|\p{N}" + _SIGNS + _SPACES),
    "qwen35": _rules(
        _CONTRACTIONS
        + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
        + _SPACES
    ),
    "tekken": _rules(f"{_CAPITALISED}|{_CAPITALS}|" + r"\p{N}" + _LINE_SIGNS + _SPACES),
    "gpt-4o": _rules(
        f"{_CAPITALISED}{_CONTRACTIONS}?|{_CAPITALS}{_CONTRACTIONS}?|"
        r"\p{N}{1,3}" + _LINE_SIGNS + _SPACES
    ),
    "deepseek-v3": _rules(r"\p{N}{1,3}", "[一-龥\u3040-ゟ\u30a0-ヿ]+", _DEEPSEEK),
    "deepseek-coder": _rules(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"),
    "seed-coder": _rules(_LETTERS + r"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + _SPACES),
    "bailingmoe": _rules(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    "falcon": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Punctuation("contiguous"),
            _GPT2,
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
        ]
    ),
}
BERT_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SIZE = 900


def byte_level(pre: str) -> Tokenizer:
    """Return byte-level BPE; llama.cpp takes whole words first with the rules of Llama 3."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_SIZE,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(HARD_STRINGS, trainer)
    return tokenizer


def pieces() -> Tokenizer:
    """Return BPE of pieces with bytes for what is unknown, as Llama 2 and Mistral have it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    letters = Counter(letter for text in HARD_STRINGS for letter in text.replace(" ", SPACE))
    alphabet = [letter for letter, _ in letters.most_common(120)]
    trainer = trainers.BpeTrainer(
        vocab_size=_SIZE,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=alphabet,  # else the library picks others of equal counts in each process
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(HARD_STRINGS, trainer)
    fields = json.loads(tokenizer.to_str())
    special = [token for token in fields["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps({**fields, "added_tokens": special}))


def wordpiece() -> Tokenizer:
    """Return WordPiece with lower case, as BERT has it, with counted pieces like `unigram`."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    texts = [normalizer.normalize_str(text) for text in HARD_STRINGS]
    words = [word for text in texts for word, _ in splitter.pre_tokenize_str(text)]
    counts = Counter(
        ("##" if start else "") + word[start : start + length]
        for word in words
        for length in range(1, 7)
        for start in range(len(word) - length + 1)
    )
    vocabulary = [*BERT_TOKENS, *(text for text, _ in counts.most_common(_SIZE))]
    numbered = {text: number for number, text in enumerate(vocabulary)}
    tokenizer = Tokenizer(
        models.WordPiece(numbered, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(list(BERT_TOKENS))
    return tokenizer


def unigram() -> Tokenizer:
    """Return Unigram, as XLM-RoBERTa has it, without the table that normalises characters.

    Its pieces are counted here: the library's training gives other scores in each process, and in
    some of them two cuts of a text weigh the same.
    """
    special = [(text, 0.0) for text in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = _counted_pieces()
    total = sum(pieces.values())
    scores = [(text, math.log(count / total)) for text, count in pieces.items()]
    tokenizer = Tokenizer(models.Unigram([*special, *scores], unk_id=len(special) - 1))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    tokenizer.add_special_tokens([text for text, _ in special])
    return tokenizer


def _counted_pieces() -> dict[str, int]:
    """Return the frequent parts of words, up to four characters long, with their counts."""
    words = [SPACE + word for text in HARD_STRINGS for word in text.split()]
    counts = Counter(
        word[start : start + length]
        for word in words
        for length in range(1, 5)
        for start in range(len(word) - length + 1)
    )
    letters = {text: count for text, count in counts.items() if len(text) == 1}
    longer = [(text, count) for text, count in counts.most_common() if len(text) > 1 and count > 1]
    return {**letters, **dict(longer[: max(0, 700 - len(letters))])}


def write_vocabulary(path: Path, tokenizer: Tokenizer, pre: str) -> Path:
    """Write a GGUF file with a byte-level vocabulary and no weights; return `path`."""
    fields = json.loads(tokenizer.to_str())
    numbered = sorted(fields["model"]["vocab"].items(), key=lambda entry: entry[1])
    special = {token["content"] for token in fields["added_tokens"]}
    writer = GGUFWriter(None, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([text for text, _ in numbered])
    writer.add_token_types(
        [TokenType.CONTROL if text in special else TokenType.NORMAL for text, _ in numbered]
    )
    writer.add_token_merges([" ".join(merge) for merge in fields["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    return write_file(writer, path)
