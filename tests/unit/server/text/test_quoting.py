"""Quoted client text is always one printable line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.quoting import quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", '""'), ("llama3:8b", '"llama3:8b"'), ('a "b"', '"a \\"b\\""'), ("a\\b", '"a\\\\b"'),
        ("a\nb\r\t", '"a\\nb\\r\\t"'), ("\x00\x1b[31m", '"\\x00\\x1b[31m"'), ("日本 é", '"日本 é"'),
        ("a\u200bb", '"a\\u200bb"'), ("\u2028", '"\\u2028"'), ("\U000e0001", '"\\U000e0001"'),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_written_as_an_escape(text: str, shown: str) -> None:
    assert quoted(text) == shown


@given(st.text())
def test_a_quoted_text_is_one_printable_line_without_a_bare_quote(text: str) -> None:
    shown = quoted(text)

    assert shown.isprintable()
    assert '"' not in shown[1:-1].replace("\\\\", "").replace('\\"', "")
