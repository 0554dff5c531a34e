"""Tokenizers give the tokens that Hugging Face's library gives, for more than 200 hard strings.

Small vocabularies are trained by that library with the rules of published models. Where llama.cpp
differs, the test says for which characters, and docs/models.md tells it.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from runners.engine.native.tokenizer import load_tokenizer
from runners.protocol.messages import Tokenize
from tests.support import hf_folders
from tests.support.converting import converted
from tests.support.families.hard_strings import HARD_STRINGS
from tests.support.families.trained_tokenizers import (
    BERT_TOKENS,
    PRE_TOKENIZERS,
    byte_level,
    pieces,
    unigram,
    wordpiece,
    write_vocabulary,
)
from tests.support.runners import load_spec


def differing(tokenizer: Tokenizer, path: Path) -> Iterator[str]:
    """Yield the strings of which llama.cpp makes other tokens."""
    ours = load_tokenizer(load_spec(path))
    for text in HARD_STRINGS:
        found = ours.tokens(Tokenize(id=0, text=text, add_special=False)).tokens
        if list(found) != tokenizer.encode(text, add_special_tokens=False).ids:
            yield text


def has_marks(text: str) -> bool:
    """Tell whether a text has characters that combine with the one before them."""
    return any(unicodedata.category(character).startswith("M") for character in text)


def has_hangul(text: str) -> bool:
    return any("가" <= character <= "힣" for character in text)


def has_wide_spaces(text: str) -> bool:
    return "\u3000" in text


def has_other_spaces(text: str) -> bool:
    """Tell whether a text has what the table of published models makes a space, or a NUL."""
    return any(c != " " and (c.isspace() or c in "\0\u200b") for c in text)


def is_one_character(text: str) -> bool:
    """Tell whether a text repeats one character, which several cuts score alike."""
    return len(set(text)) == 1


def never(_: str) -> bool:
    return False


DIFFERENT: dict[str, Callable[[str], bool]] = {
    "tekken": has_marks,
    "gpt-4o": has_marks,
    "deepseek-coder": has_wide_spaces,
}


def test_there_are_enough_strings() -> None:
    assert len(HARD_STRINGS) >= 200


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_bytes_are_paired_as_the_rules_say(pre: str, tmp_path: Path) -> None:
    tokenizer = byte_level(pre)
    path = write_vocabulary(tmp_path / "vocabulary.gguf", tokenizer, pre)

    differs = DIFFERENT.get(pre, never)
    assert [text for text in differing(tokenizer, path) if not differs(text)] == []


def test_pieces_of_a_folder_are_those_of_its_tokenizer(tmp_path: Path) -> None:
    tokenizer = pieces()
    fields = json.loads(tokenizer.to_str())
    files = hf_folders.decoder("LlamaForCausalLM", fields)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    files["tokenizer_config.json"] = json.dumps(special).encode()

    assert list(differing(tokenizer, converted(tmp_path, files))) == []


def test_words_of_a_folder_are_those_of_its_tokenizer(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    special = {f"{text[1:-1].lower()}_token": text for text in BERT_TOKENS}
    files = hf_folders.encoder("BertModel", json.loads(tokenizer.to_str()), special)

    found = differing(tokenizer, converted(tmp_path, files))

    assert [text for text in found if not has_hangul(text)] == []


def test_unigrams_of_a_folder_are_those_of_its_tokenizer(tmp_path: Path) -> None:
    tokenizer = unigram()
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
    }
    files = hf_folders.encoder(
        "XLMRobertaModel", json.loads(tokenizer.to_str()), special, type_vocab_size=1
    )

    found = differing(tokenizer, converted(tmp_path, files))

    assert [text for text in found if not (has_other_spaces(text) or is_one_character(text))] == []
