"""Vocabularies, special tokens and templates come along, in the words of llama.cpp."""

import contextlib
import json
from typing import Any

import pytest
from gguf import TokenType
from hypothesis import given
from hypothesis import strategies as st

from model_store.convert.tokenizers.sentencepiece import parse_sentencepiece
from model_store.errors import CreateError
from model_store.gguf import Array, GGUFHeader
from tests.support import hf_folders, hf_tokenizers
from tests.support.hf_folders import Files
from tests.support.hf_tokenizers import LLAMA3_RULE, QWEN2_RULE, SPECIAL, byte_level, encoded
from tests.support.tiny_models import llama_pieces
from tests.unit.model_store.convert.conftest import Convert

LLAMA = hf_folders.llama()
QWEN = hf_folders.decoder("Qwen2ForCausalLM", biases=True)


def values(header: GGUFHeader, key: str) -> list[Any]:
    value = header.metadata[f"tokenizer.ggml.{key}"]
    assert isinstance(value, Array)
    assert value.values is not None
    return list(value.values)


def configured(files: Files, name: str = "tokenizer_config.json", **changes: Any) -> Files:
    """Return the folder with fields of one of its files changed."""
    fields = {**json.loads(files.get(name, b"{}")), **changes}
    return {**files, name: encoded(fields)}


def test_byte_level_bpe_comes_with_its_merges_and_rules(convert: Convert) -> None:
    header, _ = convert(QWEN)

    tokens = values(header, "tokens")
    assert header.text("tokenizer.ggml.model") == "gpt2"
    assert header.text("tokenizer.ggml.pre") == "qwen2"
    assert values(header, "merges") == list(hf_tokenizers.MERGES)
    assert tokens[-3:] == list(SPECIAL)
    assert values(header, "token_type")[-3:] == [TokenType.CONTROL] * 3
    assert header.integer("tokenizer.ggml.eos_token_id") == len(tokens) - 1
    assert header.flag("tokenizer.ggml.add_bos_token") is False


GPT2_STEP = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [
        (byte_level(QWEN2_RULE), "qwen2"),
        (byte_level(QWEN2_RULE.replace(r"\r\n", "\r\n")), "qwen2"),
        (byte_level(LLAMA3_RULE, ignore_merges=True), "llama-bpe"),
        (byte_level(LLAMA3_RULE), "dbrx"),
        (byte_level("[0-9]+"), "default"),
        ({**byte_level(), "pre_tokenizer": GPT2_STEP}, "gpt-2"),
        (
            {
                **byte_level(),
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [{"type": "Digits", "individual_digits": True}, GPT2_STEP],
                },
            },
            "starcoder",
        ),
    ],
)
def test_rules_are_known_by_what_they_are(
    convert: Convert, notes: list[str], tokenizer: dict[str, Any], name: str
) -> None:
    """Text would be cut in other places than in training, so people are told when they are not."""
    header, _ = convert({**QWEN, "tokenizer.json": encoded(tokenizer)})

    assert header.text("tokenizer.ggml.pre") == name
    assert bool(notes) == (name == "default")


def test_merges_of_pieces_become_scores(convert: Convert) -> None:
    """The earlier a merge was learnt, the sooner it is made."""
    header, _ = convert(LLAMA)

    merges = [tuple(pair) for pair in hf_tokenizers.pieces()["model"]["merges"]]
    scores = dict(zip(values(header, "tokens"), values(header, "scores"), strict=True))
    firsts = list(dict.fromkeys(left + right for left, right in merges))
    assert [scores[text] for text in firsts] == [-float(rank) for rank in range(len(firsts))]
    assert header.text("tokenizer.ggml.model") == "llama"
    assert header.flag("tokenizer.ggml.add_space_prefix") is True
    assert header.flag("tokenizer.ggml.add_bos_token") is True
    kinds = values(header, "token_type")
    assert kinds[:2] == [TokenType.UNKNOWN, TokenType.CONTROL]
    assert kinds[5] == TokenType.BYTE


def test_sentencepiece_model_wins_over_tokenizer_json(convert: Convert) -> None:
    header, _ = convert({**LLAMA, "tokenizer.model": hf_tokenizers.sentencepiece()})

    assert values(header, "tokens") == [text for text, _, _ in llama_pieces()]
    assert values(header, "scores") == pytest.approx([s for _, s, _ in llama_pieces()], rel=1e-6)


def test_file_of_that_name_that_is_no_sentencepiece_model_is_passed_over(
    convert: Convert,
) -> None:
    """Llama 3 has a list of base64 words under that name."""
    header, _ = convert({**QWEN, "tokenizer.model": b"IQ== 0\nIg== 1\n"})

    assert header.text("tokenizer.ggml.model") == "gpt2"


@given(data=st.binary(max_size=60), kept=st.integers(0, 400))
def test_no_bytes_make_the_reader_fail(data: bytes, kept: int) -> None:
    with contextlib.suppress(CreateError):
        parse_sentencepiece(hf_tokenizers.sentencepiece()[:kept] + data)


def test_words_of_bert_are_marked_where_they_begin(convert: Convert) -> None:
    header, _ = convert(hf_folders.bert())

    tokens = values(header, "tokens")
    assert tokens[:3] == ["[PAD]", "[UNK]", "[CLS]"]
    assert {"▁the", "ly", "▁a", "a"} <= set(tokens)
    assert header.integer("tokenizer.ggml.bos_token_id") == 2
    assert header.integer("tokenizer.ggml.seperator_token_id") == 3


XLM = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
SQUEEZED = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}


@pytest.mark.parametrize(
    ("parts", "trims"),
    [
        ({}, False),
        ({"normalizer": SQUEEZED}, True),
        ({"normalizer": {"type": "Sequence", "normalizers": [SQUEEZED]}}, True),
        ({"pre_tokenizer": {"type": "WhitespaceSplit"}}, True),
    ],
)
def test_pieces_by_likelihood_come_with_their_rules_about_spaces(
    convert: Convert, parts: dict[str, Any], trims: bool
) -> None:
    tokenizer = {**hf_tokenizers.unigram(), **parts}
    header, _ = convert(
        hf_folders.encoder("XLMRobertaModel", tokenizer, XLM, type_vocab_size=1, pad_token_id=1)
    )

    assert header.text("tokenizer.ggml.model") == "t5"
    assert header.flag("tokenizer.ggml.remove_extra_whitespaces") is trims
    assert header.flag("tokenizer.ggml.add_bos_token") is True
    assert header.flag("tokenizer.ggml.add_eos_token") is True
    assert values(header, "token_type")[3] == TokenType.UNKNOWN


def test_vocabulary_is_as_large_as_the_embedding(convert: Convert) -> None:
    n_vocab = hf_tokenizers.size_of(byte_level())
    tensors = hf_folders.decoder_tensors(n_vocab + 5, biases=True)
    header, _ = convert({**QWEN, "model.safetensors": hf_folders.safetensors(tensors)})

    assert values(header, "tokens")[n_vocab:] == [f"[PAD{n_vocab + n}]" for n in range(5)]
    assert values(header, "token_type")[n_vocab:] == [TokenType.UNUSED] * 5


def test_token_added_beyond_the_embedding_is_left_out(convert: Convert) -> None:
    """Gemma 3 lists one that only its vision part has."""
    tokenizer = byte_level()
    tokenizer["added_tokens"].append({"id": 999, "content": "<image>", "special": True})
    header, _ = convert({**QWEN, "tokenizer.json": encoded(tokenizer)})

    assert "<image>" not in values(header, "tokens")


def test_all_ends_of_an_answer_are_kept(convert: Convert) -> None:
    first, second = (hf_tokenizers.size_of(byte_level()) - n for n in (1, 3))
    files = configured(QWEN, "generation_config.json", eos_token_id=[first, second])
    header, _ = convert(files)

    assert header.integer("tokenizer.ggml.eos_token_id") == first
    assert header.integer("tokenizer.ggml.eot_token_id") == second


@pytest.mark.parametrize(
    ("files", "template"),
    [
        (configured(QWEN, chat_template="plain"), "plain"),
        (
            configured(
                QWEN,
                chat_template=[
                    {"name": "rag", "template": "no"}, {"name": "default", "template": "listed"},
                ],
            ),
            "listed",
        ),
        ({**configured(QWEN, chat_template="no"), "chat_template.jinja": b"own file"}, "own file"),
        ({**QWEN, "chat_template.json": encoded({"chat_template": "beside"})}, "beside"),
        (QWEN, ""),
    ],
)  # fmt: skip
def test_chat_template_is_found_wherever_it_is(
    convert: Convert, files: Files, template: str
) -> None:
    header, _ = convert(files)

    assert header.chat_template == template


def test_sampling_of_the_makers_becomes_parameters(convert: Convert) -> None:
    told = {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05}
    sampled = configured(QWEN, "generation_config.json", do_sample=True, **told)
    greedy = configured(QWEN, "generation_config.json", do_sample=False, **told)

    assert convert(greedy)[1] == {}
    assert convert(sampled)[1] == {
        "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repeat_penalty": 1.05,
    }  # fmt: skip
