"""Values print as Go prints them, and their JSON is byte for byte Go's."""

import pytest

from server.prompt.gotemplate.printing import printed, text, to_json
from server.prompt.gotemplate.values import (
    MISSING,
    JSONList,
    JSONMap,
    Struct,
    TypeList,
    from_json,
)

THING = Struct("Thing", {"A": 1, "B": "x"}, {"b": "x", "a": 1})
SHOWN = Struct("Thing", {"A": 1}, {"a": "<"}, prints_json=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (2.5, "2.5"),
        (-1234.5, "-1234.5"),
        (999999.0, "999999"),
        (1e6, "1e+06"),
        (2100000.0, "2.1e+06"),
        (123456789.0, "1.23456789e+08"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (1000000, "1000000"),
        (2**63, "9.223372036854776e+18"),
    ],
)
def test_a_number_prints_with_go_s_digits(value: float, shown: str) -> None:
    """JSON numbers are floats in Go, so a prompt shows a million as 1e+06."""
    assert text(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\n", "a\n"),
        (True, "true"),
        (None, "<nil>"),
        (MISSING, "<nil>"),
        ([], "[]"),
        (["a", 1.0, None], "[a 1 <nil>]"),
        ({"b": 1.0, "a": [2.0]}, "map[a:[2] b:1]"),
        (b"ab", "[97 98]"),
        (THING, "{1 x}"),
        ([THING], "[{1 x}]"),
        (SHOWN, '{"a":"\\u003c"}'),
        (JSONList([SHOWN]), '[{"a":"\\u003c"}]'),
        (JSONMap(b=1.0, a=THING), '{"a":{"b":"x","a":1},"b":1}'),
        (TypeList(["string"]), "string"),
        (TypeList(["string", "null"]), "[string null]"),
    ],
)
def test_a_value_prints_as_go_shows_it(value: object, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize("value", [None, MISSING])
def test_what_is_not_there_says_so(value: object) -> None:
    assert printed(value) == "<no value>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (MISSING, "null"),
        (False, "false"),
        (
            "<a>&'\"\u2028\u2029\n\x01\u00e9",
            '"\\u003ca\\u003e\\u0026\'\\"\\u2028\\u2029\\n\\u0001\u00e9"',
        ),
        ({"<": 1.0, "a": {}}, '{"\\u003c":1,"a":{}}'),
        ([1.0, [], None], "[1,[],null]"),
        (b"ab", '"YWI="'),
        (THING, '{"b":"x","a":1}'),
        (TypeList(["string"]), '"string"'),
        (TypeList(["string", "null"]), '["string","null"]'),
        (123456789.0, "123456789"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (2**60, "1152921504606846976"),
    ],
)
def test_json_is_compact_sorted_and_safe_in_html(value: object, shown: str) -> None:
    assert to_json(value) == shown


def test_decoded_json_has_floats_for_numbers() -> None:
    """A whole number that a float cannot hold keeps its digits, unlike with the reference."""
    held = from_json({"a": [1, True, "x", None], "id": 2**53 + 1})

    assert text(held) == "map[a:[1 true x <nil>] id:9007199254740993]"
    assert isinstance(held, dict)
    assert isinstance(held["a"][0], float)
