"""Templates choose, repeat and remember as they do in Go."""

import re

import pytest

from server.prompt.gotemplate.values import Struct
from tests.support.go_templates import failure, printed

DATA: dict[str, object] = {
    "text": "x",
    "empty": "",
    "number": 3.0,
    "list": ["a", "b", "c"],
    "none": [],
    "map": {"b": 1.0, "a": {"c": "deep"}},
    "null": None,
    "yes": True,
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ .text }}{{ $.text }}{{ $.map.a.c }}{{ (.map).a.c }}", "xxdeepdeep"),
        (
            "{{ .absent }}|{{ .null }}|{{ .absent.deeper.still }}",
            "<no value>|<no value>|<no value>",
        ),
        ("{{ print .absent }}|{{ print .null }}", "<nil>|<nil>"),
        ("{{ .number }} {{ .yes }} {{ .list }} {{ .none }}", "3 true [a b c] []"),
        ("{{ .map }}", "map[a:map[c:deep] b:1]"),
    ],
)
def test_what_the_data_holds_prints(source: str, text: str) -> None:
    assert printed(source, **DATA) == text


@pytest.mark.parametrize("value", [0, 0.0, "", False, None, [], {}])
def test_what_is_empty_does_not_hold(value: object) -> None:
    assert printed("{{ if .value }}yes{{ else }}no{{ end }}", value=value) == "no"


@pytest.mark.parametrize("value", [1, -1, 0.1, " ", True, [0], {"a": 0}, Struct("T", {}, {})])
def test_what_is_not_empty_holds(value: object) -> None:
    assert printed("{{ if .value }}yes{{ else }}no{{ end }}", value=value) == "yes"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ if .absent }}1{{ else }}2{{ end }}", "2"),
        ("{{ if $x := .text }}{{ $x }}{{ end }}", "x"),
        ("{{ with .map }}{{ .b }}{{ $.text }}{{ end }}", "1x"),
        ("{{ with $x := .text }}{{ $x }}{{ . }}{{ end }}", "xx"),
        ("{{ with .empty }}{{ . }}{{ else }}{{ .text }}{{ end }}", "x"),
        ("{{ with .empty }}1{{ else with .text }}{{ . }}{{ end }}", "x"),
        ("{{ range .list }}{{ . }},{{ end }}", "a,b,c,"),
        ("{{ range $e := .list }}{{ $e }},{{ end }}", "a,b,c,"),
        ("{{ range $i, $e := .list }}{{ $i }}{{ $e }},{{ end }}", "0a,1b,2c,"),
        ("{{ range $k, $v := .map }}{{ $k }}={{ $v }},{{ end }}", "a=map[c:deep],b=1,"),
        ("{{ range .map }}{{ . }},{{ end }}", "map[c:deep],1,"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range $i := 3 }}{{ $i }}{{ end }}", "012"),
        ("{{ range -1 }}a{{ else }}b{{ end }}", "b"),
        ("{{ range .none }}a{{ else }}b{{ end }}", "b"),
        ("{{ range .null }}a{{ else }}b{{ end }}", "b"),
        ("{{ range .absent }}a{{ else }}b{{ end }}", "b"),
        ('{{ range .list }}{{ if eq . "b" }}{{ break }}{{ end }}{{ . }}{{ end }}', "a"),
        ('{{ range .list }}{{ if eq . "b" }}{{ continue }}{{ end }}{{ . }}{{ end }}', "ac"),
        ("{{ range 2 }}{{ range 9 }}{{ break }}{{ end }}{{ . }}{{ end }}", "01"),
        ("{{ range 2 }}{{ with 5 }}{{ continue }}{{ end }}a{{ else }}b{{ end }}c", "c"),
    ],
)
def test_statements_choose_and_repeat(source: str, text: str) -> None:
    assert printed(source, **DATA) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ $x := 1 }}{{ if 1 }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if 1 }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ $x := 1 }}{{ $x := 2 }}{{ $x }}", "2"),
        ('{{ $s := "" }}{{ range .list }}{{ $s = print $s . }}{{ end }}{{ $s }}', "abc"),
        ("{{ range .list }}{{ $x := . }}{{ $x }}{{ end }}", "abc"),
        ("{{ $x := 0 }}{{ range $x = .list }}{{ end }}{{ $x }}", "c"),
        ("{{ $i := 0 }}{{ $e := 0 }}{{ range $i, $e = .list }}{{ end }}{{ $i }}{{ $e }}", "2c"),
        ("{{ $x := .map }}{{ $x.a.c }}", "deep"),
        ("{{ if ($x := 1) }}{{ $x }}{{ end }}", "1"),
        ('{{ $x := 1 }}{{ define "t" }}{{ $ }}{{ . }}{{ end }}{{ template "t" .text }}', "xx"),
    ],
)
def test_a_variable_lives_as_long_as_its_block(source: str, text: str) -> None:
    assert printed(source, **DATA) == text


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{ nil }}", '1:3: executing "" at <nil>: nil is not a command'),
        (
            "{{ and }}",
            '1:3: executing "" at <and>: wrong number of args for and: want at least 1 got 0',
        ),
        ("{{ len }}", '1:3: executing "" at <len>: wrong number of args for len: want 1 got 0'),
        (
            "{{ eq }}",
            '1:3: executing "" at <eq>: wrong number of args for eq: want at least 1 got 0',
        ),
        (
            "a\n\u00e9{{ range .text }}{{ end }}",
            '2:11: executing "" at <.text>: range can\'t iterate over x',
        ),
        (
            "{{ range true }}{{ end }}",
            '1:9: executing "" at <true>: range can\'t iterate over true',
        ),
        (
            "{{ range .number }}{{ end }}",
            '1:9: executing "" at <.number>: range can\'t iterate over 3',
        ),
    ],
)
def test_a_wrong_use_of_a_value_is_told_with_its_place(source: str, error: str) -> None:
    """In the words of the reference; columns count bytes."""
    assert failure(source, **DATA) == f"template: :{error}"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a\n{{ .null.x }}", ":2:.*nil pointer evaluating interface {}.x"),
        ("{{ .text.x }}", ":1:.*can't evaluate field x in type string"),
        ("{{ .list.x }}", ":1:.*can't evaluate field x in type"),
        ("{{ .thing.Nope }}", ":1:.*can't evaluate field Nope in type Thing"),
        ("{{ .text 1 }}", ":1:.*can't give argument to non-function .text"),
        ("{{ 1 | .text }}", ":1:.*can't give argument to non-function .text"),
        ('{{ template "t" . }}', ':1:.*template "t" not defined'),
        ("{{ $x = 1 }}", ":1:.*undefined variable: \\$x"),
        ("{{ range $i, $j := 3 }}{{ end }}", ":1:.*can't use 3 to iterate over more than one"),
    ],
)
def test_a_field_or_argument_that_cannot_be_is_told_with_its_line(source: str, error: str) -> None:
    thing = Struct("Thing", {"Name": "n"}, {})

    assert re.search(error, failure(source, thing=thing, **DATA))


def test_a_method_is_called_where_a_field_is_asked_for() -> None:
    thing = Struct("Thing", {"Name": "n"}, {}, methods={"Size": lambda: 3})

    assert printed("{{ .thing.Name }}{{ .thing.Size }}", thing=thing) == "n3"
