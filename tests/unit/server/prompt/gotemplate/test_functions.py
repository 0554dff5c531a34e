"""The functions of templates do what Go's do."""

from datetime import date, datetime, timedelta

import pytest

from server.prompt.gotemplate.values import Struct
from tests.support.go_templates import failure, printed

DATA: dict[str, object] = {
    "text": "h\u00e9!",
    "number": 3.0,
    "list": ["a", "b", "c"],
    "map": {"b": 1.0, "a": "x"},
    "null": None,
}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('or 0 "" "z"', "z"),
        ('or 0 ""', ""),
        ("or .text .null.deeper", "h\u00e9!"),
        ("and 1 0 2", "0"),
        ("and 1 2", "2"),
        ("and 0 .null.deeper", "0"),
        ("0 | and 1", "0"),
        ("5 | or 0", "5"),
        ("not 0", "true"),
        ("not .list", "false"),
    ],
)
def test_and_and_or_return_the_operand_that_decides(call: str, text: str) -> None:
    """Operands after it are not looked at: templates guard a field with its parent."""
    assert printed("{{ " + call + " }}", **DATA) == text


@pytest.mark.parametrize(
    ("call", "holds"),
    [
        ("eq 1 1", True),
        ("eq 1 2 3 1", True),
        ("eq 1 2 3", False),
        ('eq "a" "a"', True),
        ("eq true false", False),
        ("eq .number 3.0", True),
        ("eq .null nil", True),
        ('eq .null "a"', False),
        ('eq .absent "a"', False),
        ("eq .absent nil", True),
        ("ne 1 2", True),
        ('ne .null "a"', True),
        ("lt 1 2", True),
        ("lt 1.5 1.5", False),
        ('lt "a" "b"', True),
        ("le 2 2", True),
        ("le 3 2", False),
        ("gt 2 1", True),
        ("gt 2 2", False),
        ("ge 2 2", True),
        ('ge "a" "b"', False),
    ],
)
def test_values_are_compared(call: str, holds: bool) -> None:
    assert printed("{{ " + call + " }}", **DATA) == ("true" if holds else "false")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("eq 1 1.0", "incompatible types for comparison: int and float64"),
        ('eq 1 "a"', "incompatible types for comparison: int and string"),
        ("eq .number 3", "incompatible types for comparison: float64 and int"),
        ("eq 1", "missing argument for comparison"),
        ("lt true false", "invalid type for comparison"),
        ("lt .null 1", "invalid type for comparison"),
        ("lt .list .list", "invalid type for comparison"),
        ('lt "a" 1', "incompatible types for comparison: string and int"),
        ("len 1", "len of type int"),
        ("len .null", "len of nil pointer"),
        ("index .list -1", "index out of range: -1"),
        ("index .list 1.0", "cannot index slice/array with type float64"),
        ('index .list "a"', "cannot index slice/array with type string"),
        ("index .map 1", "value has type int; should be string"),
        ("index .null 1", "index of untyped nil"),
        ("index 1 1", "can't index item of type int"),
        ("slice .list 2 1", "invalid slice index: 2 > 1"),
        ("slice .list 0 9", "index out of range: 9"),
        ("slice .text 0 1 2", "cannot 3-index slice a string"),
        ("slice 1", "can't slice item of type int"),
        ("slice .null", "slice of untyped nil"),
        ("call .null", "call of nil"),
    ],
)
def test_arguments_that_make_no_sense_are_told(call: str, problem: str) -> None:
    name, at = call.partition(" ")[0], f':1:3: executing "" at <{call}>'

    error = failure("{{ " + call + " }}", **DATA)

    assert error == f"template: {at}: error calling {name}: {problem}"


@pytest.mark.parametrize("call", ["eq .list .list", "eq .map .map"])
def test_lists_and_maps_cannot_be_compared(call: str) -> None:
    assert "error calling eq: non-comparable type" in failure("{{ " + call + " }}", **DATA)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("len .text", "4"),
        ("len .list", "3"),
        ("len .map", "2"),
        ("index .list 1", "b"),
        ('index .map "a"', "x"),
        ('index .map "absent"', "<no value>"),
        ("index .text 0", "104"),
        ("index .list", "[a b c]"),
        ("slice .list 1", "[b c]"),
        ("slice .list 1 2", "[b]"),
        ("slice .text 0 3", "h\u00e9"),
        ("slice .text 1", "\u00e9!"),
    ],
)
def test_parts_of_lists_maps_and_texts(call: str, text: str) -> None:
    """Texts are counted in bytes."""
    assert printed("{{ " + call + " }}", **DATA) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("html \"<a href='x'>&\\x00\"", "&lt;a href=&#39;x&#39;&gt;&amp;\ufffd"),
        ('html "\\""', "&#34;"),
        ("html 1 2", "1 2"),
        ('js "<a>\'&\\"=\\n\\\\"', "\\u003Ca\\u003E\\'\\u0026\\\"\\u003D\\u000A\\\\"),
        ('urlquery "a b&c/~\u00e9"', "a+b%26c%2F~%C3%A9"),
        ("json .map", '{"a":"x","b":1}'),
        ("json .absent", "null"),
        ('json "<a>&"', '"\\u003ca\\u003e\\u0026"'),
    ],
)
def test_text_is_escaped(call: str, text: str) -> None:
    assert printed("{{ " + call + " }}", **DATA) == text


def test_dates_are_those_of_the_calendar() -> None:
    """Whatever form is asked for, as with the reference."""
    before = today()
    shown = printed('{{ currentDate "2006" }} {{ yesterdayDate }}')

    assert shown in {f"{day} {day - timedelta(days=1)}" for day in (before, today())}


def today() -> date:
    return datetime.now().astimezone().date()


def test_a_value_that_is_no_property_has_any_type() -> None:
    prop = Struct("P", {}, {}, methods={"ToTypeScriptType": lambda: "string"})

    assert printed("{{ toTypeScriptType .a }} {{ toTypeScriptType 1 }}", a=prop) == "string any"
