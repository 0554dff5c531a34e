"""Legacy layouts are told from llama.cpp's own, and damaged ones are refused by their header."""

import base64
import random
import struct
from functools import cache
from pathlib import Path

import pytest
from gguf import GGUFValueType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_store.errors import GGUFError
from model_store.gguf import read_header
from model_store.gguf.header import Array
from model_store.gguf.legacy import Translation, translate
from tests.support import gguf_bytes as g
from tests.support.legacy.layouts import LAYOUTS
from tests.support.legacy.plain_file import PlainFile, Typed, typed

N_LLAMA3 = 128_256
TABLE = "tokenizer.ggml.precompiled_charsmap"


def translated(path: Path) -> Translation | None:
    return translate(path, read_header(path))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def llama3(*more: bytes, start: str = "<|start_header_id|>") -> bytes:
    tokens = [str(number) for number in range(N_LLAMA3)]
    tokens[128006], tokens[128009] = start, "<|eot_id|>"
    return g.model("llama", g.array("tokenizer.ggml.tokens", g.STRING, tokens), *more)


@pytest.mark.parametrize("pre", [None, "", "default"])
def test_llama_3_gets_its_pre_tokenizer(tmp_path: Path, pre: str | None) -> None:
    """Without it numbers and contractions are cut in other places than the model knows."""
    more = [] if pre is None else [g.key("tokenizer.ggml.pre", g.STRING, pre)]

    translation = translated(written(tmp_path / "a", llama3(*more)))

    assert translation is not None
    assert translation.text is not None
    assert translation.text.header.text("tokenizer.ggml.pre") == "llama-bpe"


def test_only_a_vocabulary_of_llama_3_gets_its_pre_tokenizer(tmp_path: Path) -> None:
    named = llama3(g.key("tokenizer.ggml.pre", g.STRING, "llama-bpe"))

    assert translated(written(tmp_path / "named", named)) is None
    assert translated(written(tmp_path / "other", llama3(start="<|im_start|>"))) is None


def test_a_table_of_characters_in_base64_becomes_bytes(tmp_path: Path) -> None:
    """llama.cpp aborts on a list of strings there."""
    table = bytes(range(256))
    letters = list(base64.b64encode(table).decode())
    keys = [
        g.key("tokenizer.ggml.model", g.STRING, "t5"),
        g.array(TABLE, g.STRING, letters),
    ]

    translation = translated(written(tmp_path / "a", g.model("bert", *keys)))

    assert translation is not None
    assert translation.text is not None
    assert translation.text.header.metadata[TABLE] == Array(256, tuple(table))


def test_a_table_that_is_no_base64_is_refused(tmp_path: Path) -> None:
    keys = [g.key("tokenizer.ggml.model", g.STRING, "t5"), g.array(TABLE, g.STRING, ["!", "é"])]

    with pytest.raises(GGUFError, match="base64"):
        translated(written(tmp_path / "a", g.model("bert", *keys)))


def test_a_table_of_bytes_is_left_as_it_is(tmp_path: Path) -> None:
    keys = [g.key("tokenizer.ggml.model", g.STRING, "t5"), g.array(TABLE, 0, [1, 2])]

    assert translated(written(tmp_path / "a", g.model("bert", *keys))) is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_files_of_other_versions_and_byte_orders_are_left_to_llama_cpp(
    tmp_path: Path, order: str
) -> None:
    """None were made for the former engine."""
    version = 1 if order == "<" else 3
    key = g.key("general.architecture", g.STRING, "gptoss", version=version, order=order)

    assert translated(written(tmp_path / "a", g.gguf([key], version=version, order=order))) is None


def test_the_projector_is_described_without_its_being_written(tmp_path: Path) -> None:
    layout = LAYOUTS["gemma3"]()

    translation = translated(layout.file.write(tmp_path / "a"))

    assert translation is not None
    assert translation.projector is not None
    assert translation.projector.header.architecture == "clip"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


VALUES = [0, 1, 2**32 - 1, -1, 1.5, float("nan"), "", "text", True, [0], [1, -1, 2**31 - 1], ["a"]]


def damaged(file: PlainFile, chance: random.Random) -> PlainFile:
    """Return a copy of `file` with some keys and tensors missing or changed."""
    file = file.copy()
    names = [name for name in file.keys if name != "general.architecture"]
    for name in chance.sample(names, min(len(names), 3)):
        if chance.random() < 0.5:
            del file.keys[name]
        else:
            file.keys[name] = _fitting(chance.choice(VALUES))
    for name in chance.sample(list(file.tensors), 2):
        tensor = file.tensors.pop(name)
        if chance.random() < 0.7:
            file.kinds.pop(name, None)
            file.tensors[name] = tensor.reshape(chance.choice([(-1,), (1, -1), (-1, 1)]))
    return file


def _fitting(value: object) -> Typed:
    """Return a value with the type that holds it."""
    kind, value = typed(value)
    numbers = value if isinstance(value, list) else [value]
    if kind == GGUFValueType.UINT32 and min(numbers) < 0:
        kind = GGUFValueType.INT32
    return kind, value


layout_of = cache(lambda name: LAYOUTS[name]())


@pytest.mark.parametrize("name", LAYOUTS)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chance=st.randoms(use_true_random=False))
def test_a_damaged_file_is_refused_or_translated_and_nothing_else(
    tmp_path: Path, name: str, chance: random.Random
) -> None:
    path = damaged(layout_of(name).file, chance).write(tmp_path / "damaged")
    try:
        translation = translated(path)
    except GGUFError:
        return
    views = [translation.text, translation.projector] if translation is not None else []
    for view in filter(None, views):
        assert view.size == sum(
            len(piece) if isinstance(piece, bytes) else piece.size for piece in view.pieces
        )


def test_numbers_beyond_their_type_are_refused(tmp_path: Path) -> None:
    file = LAYOUTS["glm4moelite"]().file
    file.set(glm4moelite__attention__kv_lora_rank=2**32 - 1)

    with pytest.raises(GGUFError, match="out of range"):
        translated(file.write(tmp_path / "a"))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("vision__patch_size", 7, "patches"),
        ("vision__image_size", 2**30, "too large"),
        ("vision__image_size", 0, "square"),
        ("audio__scale_input", True, "scale_input"),
        ("audio__subsampling_factor", 4, "subsampling_factor"),
        ("audio__conv_kernel_size", 8, "odd"),
        ("audio__num_mel_bins", 8, "elements"),
    ],
)
def test_encoders_that_would_end_the_runner_are_refused(
    tmp_path: Path, key: str, value: object, problem: str
) -> None:
    """llama.cpp asserts these while it loads."""
    file = LAYOUTS["nemotron_h_omni"]().file
    file.set(**{f"nemotron_h_omni__{key}": value})

    with pytest.raises(GGUFError, match=problem):
        translated(file.write(tmp_path / "a"))


def test_an_encoder_without_attention_to_the_whole_image_is_refused(tmp_path: Path) -> None:
    """llama.cpp asserts that there is one when it encodes an image."""
    file = LAYOUTS["deepseekocr"]().file
    file.set(deepseekocr__sam__block_count=2)

    with pytest.raises(GGUFError, match="block_count"):
        translated(file.write(tmp_path / "a"))


def test_shared_experts_that_are_no_multiple_of_an_expert_are_refused(tmp_path: Path) -> None:
    file = LAYOUTS["deepseekocr"]().file
    file.tensors["blk.1.ffn_down_shexp.weight"] = file.tensors["blk.1.ffn_down_shexp.weight"][:, 1:]

    with pytest.raises(GGUFError, match="shared experts"):
        translated(file.write(tmp_path / "a"))


def test_a_text_without_experts_is_that_of_the_dense_architecture(tmp_path: Path) -> None:
    file = LAYOUTS["nemotron_h_omni"]().file
    file.set(nemotron_h_omni__expert_count=0, nemotron_h_omni__expert_used_count=0)

    translation = translated(file.write(tmp_path / "a"))

    assert translation is not None
    assert translation.text is not None
    assert translation.text.header.architecture == "nemotron_h"


def test_a_file_that_ends_in_its_header_is_refused(tmp_path: Path) -> None:
    whole = LAYOUTS["gemma3"]().file.write(tmp_path / "whole").read_bytes()
    (n_tensors,) = struct.unpack_from("<Q", whole, 8)
    assert n_tensors

    with pytest.raises(GGUFError):
        translated(written(tmp_path / "cut", whole[: len(whole) // 20]))


def test_a_vocabulary_of_absurd_size_is_not_read_into_memory(tmp_path: Path) -> None:
    """The server reads these files, whoever wrote them."""
    name = "x" * 2**20
    more = g.array("tokenizer.ggml.tokens", g.STRING, [name] * 70)
    table = g.array(TABLE, g.STRING, [name] * 70)
    model = g.key("tokenizer.ggml.model", g.STRING, "t5")
    large = written(tmp_path / "large", g.model("bert", model, table, more))
    letters = g.array(TABLE, g.STRING, ["A"] * 2**21)
    long = written(tmp_path / "long", g.model("bert", model, letters))

    with pytest.raises(GGUFError, match="too large"):
        translated(large)
    with pytest.raises(GGUFError, match="too long"):
        translated(long)
