"""Which tokens a model fills in the middle by is told by its metadata or its vocabulary."""

from pathlib import Path

import pytest

from model_store.gguf import FillInTokens, read_fill_in_tokens
from tests.support import gguf_bytes
from tests.support.gguf_bytes import STRING, U32, array, key

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
WORDS = ("a", "b", "fim", "<fim>")


def read(directory: Path, *keys: bytes) -> FillInTokens | None:
    path = directory / "model.gguf"
    path.write_bytes(gguf_bytes.model("llama", *keys))
    return read_fill_in_tokens(path)


def vocabulary(*tokens: str) -> bytes:
    return array("tokenizer.ggml.tokens", STRING, tokens)


@pytest.mark.parametrize(
    ("tokens", "suffix_first"),
    [
        (QWEN, False),
        (("<fim_prefix>", "<fim_suffix>", "<fim_middle>"), False),
        (("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"), False),
        (("▁<PRE>", "▁<SUF>", "▁<MID>"), False),
        (("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"), False),
        (("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"), True),
        (("[PREFIX]", "[SUFFIX]", ""), True),
    ],
    ids=["Qwen", "StarCoder", "DeepSeek", "CodeLlama", "GLM", "Seed", "Codestral"],
)
def test_the_tokens_of_a_known_family_are_found_in_the_vocabulary(
    tmp_path: Path, tokens: tuple[str, str, str], suffix_first: bool
) -> None:
    texts = [text for text in tokens if text]

    expected = FillInTokens(*tokens, suffix_first=suffix_first)
    assert read(tmp_path, vocabulary(*WORDS, *reversed(texts), "z")) == expected
    assert read(tmp_path, vocabulary(*WORDS, *texts[:-1])) is None
    assert read(tmp_path, vocabulary(*WORDS, *(f"{text} " for text in texts))) is None


@pytest.mark.parametrize(
    "prefixes", [("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle")]
)
def test_the_metadata_may_name_other_tokens(tmp_path: Path, prefixes: tuple[str, ...]) -> None:
    ids = [key(f"tokenizer.ggml.{name}_token_id", U32, i + 1) for i, name in enumerate(prefixes)]

    assert read(tmp_path, vocabulary("a", "<P>", "<S>", "<M>"), *ids) == FillInTokens(
        "<P>", "<S>", "<M>"
    )
    assert read(tmp_path, vocabulary("a", "<P>"), *ids) is None


def test_a_named_token_of_a_known_family_is_written_in_its_order(tmp_path: Path) -> None:
    seed = ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>")
    names = ("fim_pre", "fim_suf", "fim_mid")
    ids = [key(f"tokenizer.ggml.{name}_token_id", U32, i) for i, name in enumerate(names)]

    assert read(tmp_path, vocabulary(*seed), *ids) == FillInTokens(*seed, suffix_first=True)


def test_a_file_without_a_vocabulary_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(tmp_path, array("tokenizer.ggml.tokens", U32, (1, 2))) is None
