"""What a model will take in memory is read from its header, and a header that lies does no harm."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from model_store.gguf import read_header
from runners.host.model_request import ModelFacts
from server.inference.model_facts import model_facts
from tests.support import gguf_bytes
from tests.support.families.builder import write_family
from tests.support.gguf_bytes import BOOL, I32, STRING, U32, array, key
from tests.support.tiny_models import write_bert, write_llama

FLOAT = 4
ONE_LAYER = {"token_embd.weight": (8, 16), "blk.0.attn_q.weight": (8, 8)}


def facts_of(path: Path) -> ModelFacts:
    return model_facts(read_header(path))


def write(path: Path, *keys: bytes, tensors: Mapping[str, tuple[int, ...]] = ONE_LAYER) -> Path:
    """Write a model of architecture "x" whose tensors of float32 lie one after the other."""
    told, size = [], 0
    for name, shape in tensors.items():
        told.append(gguf_bytes.tensor(name, shape, offset=size))
        size += -(-FLOAT * shape[0] * (shape[1] if len(shape) > 1 else 1) // 32) * 32
    path.write_bytes(
        gguf_bytes.gguf(
            [key("general.architecture", STRING, "x"), *keys], told, data=bytes(size or 32)
        )
    )
    return path


def test_a_llama_is_told_as_its_tensors_and_heads_are(tmp_path: Path) -> None:
    """4 heads of 8 numbers each, of which pairs share one head of the cache."""
    width, kv_width, feed = 32, 16, 64
    attention = 2 * width * width + 2 * width * kv_width
    layer = FLOAT * (2 * width + attention + 3 * width * feed)

    facts = facts_of(write_llama(tmp_path / "m.gguf", n_ctx=256, n_layers=3, n_embd=width))

    assert facts.layer_bytes == (layer,) * 3
    assert facts.embedding_bytes == FLOAT * facts.n_vocab * width
    assert facts.output_bytes == FLOAT * (facts.n_vocab * width + width)
    assert (facts.n_embd, facts.n_heads, facts.kv_heads) == (width, 4, (2, 2, 2))
    assert (facts.head_dim_k, facts.head_dim_v) == (8, 8)
    assert (facts.n_ctx_train, facts.is_embedding) == (256, False)


def test_a_vocabulary_is_as_large_as_its_embedding(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf")

    assert facts_of(path).n_vocab == read_header(path).integer("llama.vocab_size")


def test_no_byte_of_a_model_is_forgotten(tmp_path: Path) -> None:
    for path in (write_llama(tmp_path / "a.gguf"), write_bert(tmp_path / "b.gguf")):
        tied = 0 if path.stem == "a" else facts_of(path).embedding_bytes
        all_bytes = sum(tensor.size for tensor in read_header(path).tensors)

        assert facts_of(path).total_bytes == all_bytes + tied


def test_an_encoder_keeps_no_cache_and_is_for_embeddings(tmp_path: Path) -> None:
    facts = facts_of(write_bert(tmp_path / "m.gguf", n_ctx=128, n_layers=2))

    assert facts.kv_heads == (0, 0)
    assert facts.is_embedding
    assert facts.n_ctx_train == 128


def test_an_embedding_that_is_the_output_too_is_needed_twice(tmp_path: Path) -> None:
    tied = facts_of(write(tmp_path / "tied.gguf"))
    untied = facts_of(
        write(tmp_path / "untied.gguf", tensors=ONE_LAYER | {"output.weight": (8, 16)})
    )

    assert tied.embedding_bytes == untied.embedding_bytes == FLOAT * 8 * 16
    assert tied.output_bytes == untied.output_bytes == FLOAT * 8 * 16


def test_heads_of_the_cache_may_differ_by_layer(tmp_path: Path) -> None:
    """Hybrid models have layers that keep no cache."""
    layers = {f"blk.{n}.attn_q.weight": (8, 8) for n in range(3)}
    keys = [
        key("x.block_count", U32, 3),
        array("x.attention.head_count_kv", I32, [4, 0, 2]),
    ]

    assert facts_of(write(tmp_path / "m.gguf", *keys, tensors=layers)).kv_heads == (4, 0, 2)


def test_heads_may_differ_by_layer(tmp_path: Path) -> None:
    """What each of them takes is not the whole width then."""
    keys = [
        key("x.embedding_length", U32, 64),
        array("x.attention.head_count", U32, [8, 4]),
    ]
    facts = facts_of(write(tmp_path / "m.gguf", *keys))

    assert (facts.n_heads, facts.head_dim_k, facts.kv_heads) == (8, 8, (8,))


def test_the_size_of_a_head_may_be_told(tmp_path: Path) -> None:
    keys = [
        key("x.embedding_length", U32, 64),
        key("x.attention.head_count", U32, 4),
        key("x.attention.key_length", U32, 128),
        key("x.attention.value_length", U32, 96),
    ]
    facts = facts_of(write(tmp_path / "m.gguf", *keys))

    assert (facts.head_dim_k, facts.head_dim_v, facts.kv_heads) == (128, 96, (4,))


def test_layers_are_told_apart_whatever_their_order(tmp_path: Path) -> None:
    tensors = {"blk.1.a.weight": (8, 8), "blk.0.b.weight": (8, 16), "blk.1.c.weight": (8, 8)}
    facts = facts_of(write(tmp_path / "m.gguf", tensors=tensors))

    assert facts.layer_bytes == (FLOAT * 128, FLOAT * 128)


def test_a_vocabulary_without_an_embedding_is_told_by_its_size(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", key("x.vocab_size", U32, 99), tensors={"blk.0.a": (8,)})

    assert facts_of(path).n_vocab == 99


def test_a_header_that_says_next_to_nothing_is_enough(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "m.gguf"))

    assert (facts.n_layers, facts.n_embd, facts.n_heads, facts.kv_heads) == (1, 0, 1, (1,))
    assert (facts.n_ctx_train, facts.head_dim_k) == (0, 0)


@pytest.mark.parametrize("claimed", [513, 2**32 - 1], ids=["one too many", "billions"])
def test_more_layers_than_any_model_has_are_not_believed(claimed: int, tmp_path: Path) -> None:
    """Counting them would keep the server busy for minutes."""
    facts = facts_of(write(tmp_path / "m.gguf", key("x.block_count", U32, claimed)))

    assert facts.n_layers == len(facts.kv_heads) == 512


@pytest.mark.parametrize(
    "keys",
    [
        [key("x.block_count", I32, -5)],
        [key("x.attention.head_count", U32, 0)],
        [key("x.attention.head_count", I32, -4), key("x.embedding_length", U32, 64)],
        [key("x.attention.head_count", BOOL, value=True)],
        [key("x.block_count", STRING, "two"), key("x.embedding_length", STRING, "wide")],
        [array("x.attention.head_count_kv", U32, [])],
        [array("x.attention.head_count_kv", STRING, ["a", "b"])],
    ],
    ids=[
        "negative layers", "no heads", "negative heads", "true heads", "texts", "empty list",
        "list of texts",
    ],
)  # fmt: skip
def test_a_header_of_nonsense_gives_facts_that_can_be_reckoned_with(
    keys: list[bytes], tmp_path: Path
) -> None:
    facts = facts_of(write(tmp_path / "m.gguf", *keys))

    assert facts.n_heads >= 1
    assert len(facts.kv_heads) == facts.n_layers
    assert min((facts.head_dim_k, *facts.kv_heads, *facts.layer_bytes, facts.output_bytes)) >= 0


@pytest.mark.parametrize("name", ["blk.x.attn", "blk..attn", "blk.-1.attn", "blk.9999999999.attn"])
def test_a_layer_without_a_sensible_number_counts_as_what_follows_the_layers(
    name: str, tmp_path: Path
) -> None:
    facts = facts_of(write(tmp_path / "m.gguf", tensors=ONE_LAYER | {name: (8, 8)}))

    assert facts.n_layers == 1
    assert facts.output_bytes == FLOAT * (8 * 16 + 8 * 8)


@pytest.mark.parametrize(
    ("architecture", "n_predicting", "expected"),
    [("qwen35", 1, True), ("qwen35", 0, False), ("qwen3next", 1, False)],
)
def test_layers_that_predict_are_seen_where_they_can_draft(
    tmp_path: Path, architecture: str, n_predicting: int, expected: bool
) -> None:
    path = write_family(tmp_path / "m.gguf", architecture, n_predicting=n_predicting)
    assert facts_of(path).predicts == expected


def test_only_layers_that_attend_have_cells_and_only_recurrent_ones_a_state(tmp_path: Path) -> None:
    """One number of heads stands for all layers of Qwen 3.5, three of four of which have none."""
    facts = facts_of(write_family(tmp_path / "m.gguf", "qwen35"))
    assert facts.kv_heads == (0, 0, 0, 2)
    assert [size > 0 for size in facts.state_bytes] == [True, True, True, False]
    both = facts_of(write_family(tmp_path / "m.gguf", "falcon-h1"))
    assert both.kv_heads == (2, 2)
    assert all(both.state_bytes)
    assert facts_of(write_llama(tmp_path / "m.gguf")).state_bytes == ()
