"""JSON encoding of replies: Go's escapes, and vectors without superfluous digits."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.json_encoding import encode
from server.http.vector_encoding import encoded_rows, shortest

SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        ("<think>a & b</think>", '"\\u003cthink\\u003ea \\u0026 b\\u003c/think\\u003e"'),
        ("a\u2028b\u2029c", '"a\\u2028b\\u2029c"'),
        ({"<&>": 1}, '{"\\u003c\\u0026\\u003e":1}'),
        ("é 日本 🙂", '"é 日本 🙂"'),
        ('q"\\\n\x01', '"q\\"\\\\\\n\\u0001"'),
        (msgspec.Raw(b'{"a":1}'), '{"a":1}'),
    ],
    ids=["compact", "HTML", "ends of lines", "keys", "other alphabets", "controls", "encoded"],
)
def test_json_is_compact_with_html_characters_escaped(value: object, text: str) -> None:
    assert encode(value).decode() == text


@given(st.dictionaries(st.text(), st.text(st.sampled_from("<>&\u2028\u2029\\u003ca\"'\n"))))
def test_escapes_decode_to_the_original_text(value: dict[str, str]) -> None:
    assert json.loads(encode(value)) == value


@given(st.lists(SINGLES, min_size=1, max_size=8))
def test_a_vector_reads_back_bit_by_bit(values: list[float]) -> None:
    vectors = np.array([values], np.float32)

    printed = encode(shortest(vectors).tolist())

    np.testing.assert_array_equal(np.array(json.loads(printed), np.float32), vectors)


@given(st.lists(st.floats(2**-30, 4, width=32), min_size=1, max_size=8))
def test_a_number_of_a_vector_has_no_superfluous_digit(values: list[float]) -> None:
    singles = np.array([*values, *np.negative(values)], np.float32)

    assert shortest(singles).tolist() == [float(str(single)) for single in singles]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (0.0075223274, "0.0075223274"), (-0.4319819, "-0.4319819"), (1, "1.0"),
        (1 / 3, "0.33333334"), (0, "0.0"),
    ],
)  # fmt: skip
def test_a_number_of_a_vector_prints_as_in_the_reference(value: float, text: str) -> None:
    assert repr(float(shortest(np.array([value], np.float32))[0])) == text


def test_nan_and_infinity_are_unchanged() -> None:
    odd = np.array([np.nan, np.inf, -np.inf], np.float32)

    np.testing.assert_array_equal(shortest(odd), odd.astype(np.float64))


def test_rows_in_blocks_print_like_the_whole() -> None:
    vectors = np.random.default_rng(7).standard_normal((400, 300), np.float32)

    assert encode(encoded_rows(vectors)) == encode(shortest(vectors).tolist())
    assert encoded_rows(np.empty((0, 4), np.float32)) == []
