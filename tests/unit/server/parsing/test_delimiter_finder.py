"""Marks are found as if the whole text were known, however little of it has come."""

import pytest

from server.parsing.delimiter_finder import DelimiterFinder

MARKS = DelimiterFinder(["<a>", "<ab>", "[T]", "[T] ["])


@pytest.mark.parametrize(
    ("text", "certain", "mark"),
    [
        ("words", 5, ""),
        ("x<a>y", 1, "<a>"),
        ("x<ab>", 1, "<ab>"),
        ("x<a", 1, ""),
        ("x<a ", 4, ""),
        ("<<a>", 1, "<a>"),
        ("[T]", 0, ""),
        ("[T] ", 0, ""),
        ("[T] x", 0, "[T]"),
        ("[T] [", 0, "[T] ["),
        ("", 0, ""),
    ],
)
def test_what_may_become_a_mark_is_waited_for(text, certain, mark) -> None:
    assert MARKS.find(text, 0, final=False) == (certain, mark)


@pytest.mark.parametrize(("text", "certain", "mark"), [("x<a", 3, ""), ("x[T]", 1, "[T]")])
def test_at_the_end_nothing_is_waited_for(text, certain, mark) -> None:
    assert MARKS.find(text, 0, final=True) == (certain, mark)


@pytest.mark.parametrize(
    ("text", "final", "mark"),
    [
        ("<a>", False, "<a>"),
        ("<a", False, None),
        ("<a", True, ""),
        ("[T]", False, None),
        ("x", False, ""),
    ],
)
def test_a_mark_at_one_place_is_known_or_waited_for(text, final, mark) -> None:
    assert MARKS.begins(text, 0, final=final) == mark


def test_without_marks_everything_is_certain() -> None:
    assert DelimiterFinder([]).find("text", 0, final=False) == (4, "")
