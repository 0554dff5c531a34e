"""Durations of clients and settings, parsed as by the reference server, errors included."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.durations import keep_alive_seconds, parse_duration

CENTURIES = 292 * 365.25 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("-0", 0), ("+0", 0), ("0s", 0), ("5m", 300), ("+5m", 300), ("-1s", -1),
        ("1h30m", 5400), ("1.5h", 5400), (".5s", 0.5), ("1.s", 1), ("90m", 5400), ("100ms", 0.1),
        ("5us", 5e-6), ("5µs", 5e-6), ("5μs", 5e-6), ("7ns", 7e-9), ("1h1m1s1ms", 3661.001),
        ("1s1s", 2), ("30m1h", 5400), ("24h", 86400), ("2562047h", 2562047 * 3600),
    ],
)  # fmt: skip
def test_a_duration_adds_up_its_parts(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        ("+-5s", 'time: invalid duration "+-5s"'),
        (".s", 'time: invalid duration ".s"'),
        (" 5s", 'time: invalid duration " 5s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("300", 'time: missing unit in duration "300"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5S", 'time: unknown unit "S" in duration "5S"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("1w", 'time: unknown unit "w" in duration "1w"'),
        ('5"\n', 'time: unknown unit "\\"\\n" in duration "5\\"\\n"'),
        ("2562048h", 'time: invalid duration "2562048h"'),
        ("9" * 500 + "s", f'time: invalid duration "{"9" * 500}s"'),
    ],
)
def test_what_is_no_duration_is_told_in_the_words_of_the_reference(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^time: ") as caught:
        parse_duration(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0), (0.0, 0), ("0", 0), ("0s", 0), (-0.0, 0), (300, 300), (0.5, 0.5), ("10m", 600),
        (-1, math.inf), (-0.001, math.inf), ("-1s", math.inf), ("-5m", math.inf),
        (CENTURIES * 2, math.inf),
    ],
    ids=repr,
)  # fmt: skip
def test_keep_alive_counts_seconds_and_negative_is_for_ever(value: object, seconds: float) -> None:
    assert keep_alive_seconds(value) == seconds


@pytest.mark.parametrize("sign", [1, -1])
def test_keep_alive_too_large_for_a_float_is_for_ever(sign: int) -> None:
    assert keep_alive_seconds(sign * 10**400) == math.inf


def test_keep_alive_that_is_not_given_is_not_zero() -> None:
    """A model that was loaded for ever must stay so when a request says nothing."""
    assert keep_alive_seconds(None) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "Unsupported type: 'bool'"),
        (False, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({"seconds": 5}, "Unsupported type: 'map[string]interface {}'"),
        ("soon", 'time: invalid duration "soon"'),
        ("300 5", 'time: unknown unit " " in duration "300 5"'),
    ],
)
def test_keep_alive_of_another_kind_is_refused_in_the_words_of_the_reference(
    value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=r"^(Unsupported type|time): ") as caught:
        keep_alive_seconds(value)

    assert str(caught.value) == message


@given(st.text("0123456789.+-hmsnuµ", max_size=12) | st.text(max_size=8))
def test_any_text_is_a_finite_duration_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return

    assert abs(seconds) <= CENTURIES * 1.01
