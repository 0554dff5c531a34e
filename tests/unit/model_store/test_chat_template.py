"""What a template may print for special tokens is found in the vocabulary, wherever it lies."""

from pathlib import Path

import pytest

from model_store.gguf import ChatTemplate, read_chat_template
from tests.support.gguf_bytes import BOOL, I32, STRING, U32, array, gguf, key

TEMPLATE = key("tokenizer.chat_template", STRING, "T")
TOKENS = array("tokenizer.ggml.tokens", STRING, ["", "<s>", "x" * 5000, "</s>", "Zürich"])
BOS = key("tokenizer.ggml.bos_token_id", U32, 1)
EOS = key("tokenizer.ggml.eos_token_id", U32, 3)


def read(tmp_path: Path, *keys: bytes, order: str = "<") -> ChatTemplate:
    file = tmp_path / "x.gguf"
    file.write_bytes(gguf(keys, order=order))
    return read_chat_template(file)


@pytest.mark.parametrize("keys", [(TEMPLATE, TOKENS, BOS, EOS), (EOS, BOS, TOKENS, TEMPLATE)])
def test_the_texts_of_bos_and_eos_are_read(tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    assert read(tmp_path, *keys) == ChatTemplate("T", "<s>", "</s>", None)


@pytest.mark.parametrize("adds", [False, True])
def test_whether_the_tokenizer_adds_bos_is_told(tmp_path: Path, adds: bool) -> None:
    flag = key("tokenizer.ggml.add_bos_token", BOOL, adds)

    assert read(tmp_path, TEMPLATE, flag) == ChatTemplate("T", "", "", adds)


def test_a_file_in_the_other_byte_order_is_read_alike(tmp_path: Path) -> None:
    keys = (
        key("tokenizer.chat_template", STRING, "T", order=">"),
        array("tokenizer.ggml.tokens", STRING, ["a", "<s>"], order=">"),
        key("tokenizer.ggml.bos_token_id", U32, 1, order=">"),
    )

    assert read(tmp_path, *keys, order=">") == ChatTemplate("T", "<s>", "", None)


@pytest.mark.parametrize(
    "keys",
    [
        (BOS,),
        (TOKENS,),
        (TOKENS, key("tokenizer.ggml.bos_token_id", U32, 5)),
        (TOKENS, key("tokenizer.ggml.bos_token_id", I32, -1)),
        (TOKENS, key("tokenizer.ggml.bos_token_id", STRING, "1")),
        (key("tokenizer.ggml.tokens", STRING, "abc"), BOS),
        (array("tokenizer.ggml.tokens", U32, [1, 2, 3]), BOS),
    ],
)
def test_tokens_that_cannot_be_found_have_no_text(tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    assert read(tmp_path, TEMPLATE, *keys) == ChatTemplate("T", "", "", None)


def test_a_file_without_a_template_has_none(tmp_path: Path) -> None:
    assert not read(tmp_path, TOKENS, BOS).source
