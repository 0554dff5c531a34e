"""The scan of a body counts what parsing would make of it, wherever its parts are cut."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import BadRequest, BodyTooLarge
from server.http import json_scan
from server.http.json_scan import check_shape
from server.schemas.limits import MAX_DEPTH, MAX_ESCAPES, MAX_WIDE_TEXT, BodyLimits
from tests.support.any_json import ANY

UNLIMITED = BodyLimits(size=1 << 30, values=1 << 30, strings=1 << 30, containers=1 << 30)


def counts(value: Any) -> tuple[int, int, int]:
    """Return the commas, the strings (keys too) and the lists and objects of a value."""
    if isinstance(value, str):
        return 0, 1, 0
    if not isinstance(value, list | dict):
        return 0, 0, 0
    inside = [*value, *value.values()] if isinstance(value, dict) else value
    commas, strings, containers = (
        sum(each) for each in zip((0, 0, 0), *map(counts, inside), strict=True)
    )
    return commas + max(0, len(value) - 1), strings, containers + 1


def limits(commas: int, strings: int, containers: int) -> BodyLimits:
    return BodyLimits(size=1 << 30, values=commas, strings=strings, containers=containers)


@given(
    st.lists(ANY, max_size=4),
    st.sampled_from(["", " x", '"', "[[", "}", "\\"]),
    st.integers(1, 40),
    st.booleans(),
)
@example(["\\", '"', '\\"', "\\\\"], "", 1, True)
def test_everything_is_counted_and_nothing_else(
    value: list[Any], rest: str, part: int, is_ascii: bool
) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    data = (text + rest).encode("utf-8", "surrogatepass")
    commas, strings, containers = counts(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_scan, "_PART", part)

        assert check_shape(data, limits(commas, strings, containers)) == len(data) - len(rest)
        exact = (commas, strings, containers)
        for kind in range(3):
            less = [n - (kind == place) for place, n in enumerate(exact)]
            if min(less) >= 0:
                with pytest.raises(BadRequest, match="the request body has more than"):
                    check_shape(data, limits(*less))


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b'{"a":[1,2,3]}', "values"),
        (b'["a","b"]', "strings and keys"),
        (b"[]", "objects and lists"),
    ],
)
def test_an_excess_is_refused_with_what_there_is_too_much_of(data: bytes, part: str) -> None:
    allowed = {"values": 1 << 20, "strings": 1 << 20, "containers": 1 << 20, "size": 1 << 20}
    key = {"values": "values", "strings and keys": "strings", "objects and lists": "containers"}
    with pytest.raises(BadRequest, match=f"more than 0 {part}"):
        check_shape(data * 1, BodyLimits(**(allowed | {key[part]: 0})))


@pytest.mark.parametrize("part", [1, 7, 1 << 18])
def test_depth_is_bounded_before_anything_is_parsed(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_scan, "_PART", part)

    assert check_shape(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, UNLIMITED) == 2 * MAX_DEPTH
    with pytest.raises(BadRequest, match="nested too deeply"):
        check_shape(b"[" * (MAX_DEPTH + 1), UNLIMITED)


def test_brackets_in_a_string_are_text() -> None:
    data = json.dumps(["[" * 1000 + '\\"]' * 1000]).encode()

    assert check_shape(data, limits(0, 1, 1)) == len(data)


@pytest.mark.parametrize("wide", ["😀".encode(), b"\\ud83d\\ude00", b"\\uD83D"])
def test_long_texts_with_wide_characters_are_refused(wide: bytes) -> None:
    """Each of their characters takes four bytes in memory, also those that are ASCII."""
    text = b'["' + b"a" * MAX_WIDE_TEXT + wide + b'"]'

    with pytest.raises(BodyTooLarge, match="the text of the request is larger than"):
        check_shape(text, UNLIMITED)


@pytest.mark.parametrize("rest", [b"", b"\\u003d\\u003d", "äöü€中".encode()])
def test_a_long_file_is_no_wide_text(rest: bytes) -> None:
    """Some clients escape the end of base64."""
    emoji = '"😀"'.encode()
    file = b'"' + b"A" * (MAX_WIDE_TEXT + (1 << 20)) + rest + b'"'
    data = b"[" + emoji + b"," + file + b"," + emoji + b"]"

    assert check_shape(data, UNLIMITED) == len(data)


def test_a_size_beyond_that_of_the_endpoint_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        check_shape(b"[" + b" " * 10 + b"]", BodyLimits(10, 9, 9, 9))


def test_escapes_are_bounded_as_they_take_the_parser_longest() -> None:
    text = b'["' + b"\\n" * MAX_ESCAPES + b'"]'

    assert check_shape(text, UNLIMITED) == len(text)
    with pytest.raises(BadRequest, match=f"more than {MAX_ESCAPES} escapes"):
        check_shape(text.replace(b"n", b"n\\n", 1), UNLIMITED)


@pytest.mark.parametrize("length", [0, 1, 7, 100])
def test_parts_within_a_string_are_passed_over_without_losing_count(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_scan, "_PART", 8)
    data = json.dumps(["a" * length, {"b": "c" * length + '\\"'}, [1]]).encode()

    assert check_shape(data + b"]", limits(2, 3, 3)) == len(data)
    with pytest.raises(BadRequest):
        check_shape(data, limits(2, 2, 3))
