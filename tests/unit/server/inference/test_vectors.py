"""Vectors have the length that clients and their indexes count on."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.gguf import read_header
from runners.protocol.messages import Embedded
from server.errors import BadRequest
from server.inference.vectors import (
    MAX_VALUES,
    at_unit_length,
    cut_to,
    is_normalised,
    require_few,
    vectors_of,
)
from tests.support import gguf_bytes
from tests.support.gguf_bytes import BOOL, STRING, key


def test_vectors_come_apart_as_they_were_put_together() -> None:
    rows = np.array([[1, 2, 3], [-4, 5, 0.5]], np.float32)
    answer = Embedded(id=1, dim=3, vectors=rows.astype("<f4").tobytes(), n_tokens=2)

    np.testing.assert_array_equal(vectors_of(answer), rows)


def test_no_texts_have_no_vectors() -> None:
    assert vectors_of(Embedded(id=1, dim=3, vectors=b"", n_tokens=0)).shape == (0, 3)


@given(st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=16))
def test_a_vector_of_any_size_gets_unit_length_or_stays_zero(values: list[float]) -> None:
    (scaled,) = at_unit_length(np.array([values], np.float32))

    length = float(np.linalg.norm(scaled.astype(np.float64)))
    assert length == pytest.approx(1, abs=1e-5) or max(map(abs, values)) < 1e-11
    assert np.isfinite(scaled).all()


def test_each_row_is_scaled_by_itself() -> None:
    scaled = at_unit_length(np.array([[3, 4], [0, 0], [0, -2]], np.float32))

    expected = np.array([[0.6, 0.8], [0, 0], [0, -1]], np.float32)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert scaled.dtype == np.float32


def test_fewer_dimensions_are_the_first_ones_at_unit_length() -> None:
    rows = at_unit_length(np.array([[3, 4, 12]], np.float32))

    np.testing.assert_allclose(cut_to(rows, 2), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("dimensions", [0, -1, 3, 4, 2**63 - 1])
def test_any_other_number_of_dimensions_keeps_all(dimensions: int) -> None:
    rows = np.array([[3, 4, 12]], np.float32)

    assert cut_to(rows, dimensions) is rows


@pytest.mark.parametrize(
    ("architecture", "asked", "tokenizer", "normalised"),
    [
        ("llama", None, "llama", True),
        ("gemma-embedding", False, "llama", True),
        ("bert", None, "bert", True),
        ("bert", True, "bert", True),
        ("bert", False, "bert", False),
        ("bert", None, "t5", False),
        ("nomic-bert", None, "bert", False),
        ("nomic-bert", True, "bert", True),
        ("nomic-bert-moe", None, "t5", False),
    ],
)
def test_vectors_of_the_older_endpoint_fit_the_indexes_built_with_them(
    architecture: str, asked: bool | None, tokenizer: str, normalised: bool, tmp_path: Path
) -> None:
    keys = [key("tokenizer.ggml.model", STRING, tokenizer)]
    if asked is not None:
        keys.append(key(f"{architecture}.normalize_embeddings", BOOL, value=asked))
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes.model(architecture, *keys))

    assert is_normalised(read_header(path)) is normalised


def test_inputs_are_bounded_by_the_numbers_of_their_vectors() -> None:
    require_few(MAX_VALUES // 1024, 1024)
    require_few(1, MAX_VALUES + 1)
    with pytest.raises(BadRequest, match="with 1024 dimensions at most 4096 are embedded at once"):
        require_few(4097, 1024)
