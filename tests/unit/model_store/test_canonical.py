"""Small layers have the bytes that the reference gives them, so that equal layers are one blob."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.canonical import canonical_json, untyped
from model_store.digests import Digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "digest"),
    [
        (
            {"temperature": 1, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]},
            "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37",
        ),
        (
            {"top_p": 0.7, "temperature": 0.6, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]},
            "e29a7b3c47287a2489c895d21fe413c20f859a85d20e749492f52a838e36e1ba",
        ),
        (
            {"temperature": 0.6, "top_k": 10, "top_p": 0.7, "stop": ["<|endoftext|>"]},
            "12f58bb75cb3042d69a7e013ab87fb3c3c7088f50ddc62f0c77bd332f0d44d35",
        ),
    ],
)
def test_parameters_have_the_digest_that_the_reference_gives_them(
    parameters: dict[str, object], digest: str
) -> None:
    assert Digest.of(canonical_json(untyped(parameters))).hex == digest


def test_messages_have_the_digest_that_the_reference_gives_them() -> None:
    messages = [
        {"role": "assistant", "content": "What is my purpose?"},
        {"role": "user", "content": "You run tests."},
        {"role": "assistant", "content": "Oh, my god."},
    ]

    digest = "298baeaf6928a60cf666d88d64a1ba606feb43a2865687c39e40652e407bffc4"
    assert Digest.of(canonical_json(messages)).hex == digest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-10, "1.5e-10"),
        (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.25e22, "1.25e+22"), (-2.5, "-2.5"),
        (0.0, "0"), (131072.0, "131072"),
    ],
)  # fmt: skip
def test_floats_are_written_as_the_reference_writes_them(value: float, text: str) -> None:
    assert canonical_json(value) == text.encode() + b"\n"


def test_integers_of_free_values_lose_what_a_float_cannot_hold() -> None:
    assert canonical_json(untyped(2**53 + 1)) == b"9007199254740992\n"


def test_sizes_keep_every_digit() -> None:
    assert canonical_json({"size": 2**53 + 1}) == b'{"size":9007199254740993}\n'


def test_characters_are_escaped_as_the_reference_escapes_them() -> None:
    written = canonical_json("<&> é \u2028\n\x01\ud800")

    assert written == '"\\u003c\\u0026\\u003e é \\u2028\\n\\u0001\ufffd"\n'.encode()


@given(JSON)
def test_what_is_written_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(untyped(value)), parse_int=float) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400])
def test_a_number_that_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="number"):
        canonical_json(untyped(value))
