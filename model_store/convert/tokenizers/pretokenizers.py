"""Recognise llama.cpp's pre-tokenizer by the rules in tokenizer.json."""

from collections.abc import Iterator

from model_store.convert.fields import Fields
from model_store.convert.tokenizers.vocabulary import UNKNOWN

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
_LETTERS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CAPITALISED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_CAPITALS = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_LINE_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"
_ASCII_SIGNS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""

_DBRX = _LETTERS + r"|\p{N}{1,3}" + _SIGNS + _SPACES
_QWEN2 = _LETTERS + r"|\p{N}" + _SIGNS + _SPACES
_QWEN35 = (
    _CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    + _SPACES
)
_TEKKEN = f"{_CAPITALISED}|{_CAPITALS}|" + r"\p{N}" + _LINE_SIGNS + _SPACES
_GPT4O = (
    f"{_CAPITALISED}{_CONTRACTIONS}?|{_CAPITALS}{_CONTRACTIONS}?"
    r"|\p{N}{1,3}" + _LINE_SIGNS + _SPACES
)
_DEEPSEEK_V3 = (
    _ASCII_SIGNS
    + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    + _SPACES
)

_BYTES, _GPT2, _DIGIT = "bytes", "gpt2", "digit"
_NAMES = {
    (_GPT2,): "gpt-2",
    (_DIGIT, _GPT2): "starcoder",
    (_DBRX, _BYTES): "dbrx",
    (_QWEN2, _BYTES): "qwen2",
    (_QWEN35, _BYTES): "qwen35",
    (_TEKKEN, _BYTES): "tekken",
    (_GPT4O, _BYTES): "gpt-4o",
    (r"\p{N}{1,3}", "[一-龥\u3040-ゟ\u30a0-ヿ]+", _DEEPSEEK_V3, _BYTES): "deepseek-v3",
    (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}", _BYTES): (
        "deepseek-coder"
    ),
}


def pretokenizer(tokenizer: Fields) -> str:
    """Return llama.cpp's name of the rules, UNKNOWN when it has none that is known here.

    Raises:
        CreateError: tokenizer.json is malformed.
    """
    name = _NAMES.get(tuple(_steps(tokenizer.inner("pre_tokenizer"))), UNKNOWN)
    if name == "dbrx" and tokenizer.inner("model").flag("ignore_merges"):
        return "llama-bpe"
    return name


def _steps(step: Fields, depth: int = 0) -> Iterator[str]:
    kind = step.text("type")
    if kind == "Sequence" and depth == 0:
        for part in step.objects("pretokenizers"):
            yield from _steps(part, depth + 1)
    elif kind == "Split":
        pattern = step.inner("pattern").text("Regex", "String")
        # Some write the characters themselves, others their escapes.
        yield pattern.replace("\r", r"\r").replace("\n", r"\n")
    elif kind == "ByteLevel":
        yield _GPT2 if step.flag("use_regex", default=True) else _BYTES
    elif kind == "Digits":
        yield _DIGIT if step.flag("individual_digits") else kind
    else:
        yield kind
