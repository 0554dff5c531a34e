"""Literals in templates have the values that Go gives them."""

import pytest

from tests.support.go_templates import failure, printed


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"a\tb\\\"\n"', 'a\tb\\"\n'),
        (r'"\x41\101\u00e9\U0001F600"', "AA\u00e9\U0001f600"),
        (r'"\xff"', "\ufffd"),
        ('"|<é>|"', "|<é>|"),
        (r"`raw\n`", r"raw\n"),
        ('`a\n"b"`', 'a\n"b"'),
        ("'a'", "97"),
        (r"'\n'", "10"),
        (r"'\''", "39"),
        ("true", "true"),
        ("false", "false"),
        ("0", "0"),
        ("-3", "-3"),
        ("+3", "3"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("0o17", "15"),
        ("017", "15"),
        ("1_000", "1000"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("2.0", "2"),
        ("1e3", "1000"),
        ("1e21", "1e+21"),
    ],
)
def test_a_literal_prints_its_value(literal: str, text: str) -> None:
    assert printed("{{ print " + literal + " }}") == text


@pytest.mark.parametrize(
    ("literal", "error"),
    [
        (r'"\q"', "invalid syntax"),
        ('"\\\'"', "invalid syntax"),
        (r'"\400"', "invalid syntax"),
        (r'"\ud800"', "invalid syntax"),
        ("'ab'", "malformed character constant: 'ab'"),
        ("1__0", 'illegal number syntax: "1__0"'),
        ("0x", 'illegal number syntax: "0x"'),
        ("1e400", 'illegal number syntax: "1e400"'),
        ("99999999999999999999", 'integer overflow: "99999999999999999999"'),
    ],
)
def test_a_literal_without_a_value_is_refused(literal: str, error: str) -> None:
    assert failure("{{ print " + literal + " }}") == f"template: :1: {error}"


def test_a_number_of_a_million_digits_is_refused_at_once() -> None:
    assert "illegal number syntax" in failure("{{ " + "9" * 60_000 + " }}")
