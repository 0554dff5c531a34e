"""Statements nest as they do in Go, and a mistake is told in the reference's words."""

import pytest

from tests.support.go_templates import failure, printed


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{if 1}}a{{end}}", "a"),
        ("{{ if 0 }}a{{ else }}b{{ end }}", "b"),
        ("{{ if 0 }}a{{ else if 0 }}b{{ else if 1 }}c{{ else }}d{{ end }}", "c"),
        ("{{ if 0 }}a{{ else if 0 }}b{{ end }}c", "c"),
        ("{{ with 0 }}a{{ else with 7 }}{{ . }}{{ else }}c{{ end }}", "7"),
        ("{{ range 0 }}a{{ else }}b{{ end }}", "b"),
        ('{{ define "x" }}[{{ . }}]{{ end }}{{ template "x" 1 }}{{ template `x` 2 }}', "[1][2]"),
        ('{{ template "x" 1 }}{{ define "x" }}[{{ . }}]{{ end }}', "[1]"),
        ('{{ block "x" 1 }}[{{ . }}]{{ end }}{{ template "x" 2 }}', "[1][2]"),
        ('{{ define "x" }}{{ end }}{{ block "x" 1 }}a{{ end }}', "a"),
        ("{{ (1) }}{{ (print (1 | print) 2) }}", "112"),
        ('{{ "b" | printf "%s%s" "a" | print }}', "ab"),
        ("{{$x:=1}}{{$x}}{{$x = 2}}{{$x}}", "12"),
    ],
)
def test_statements_are_read(source: str, text: str) -> None:
    assert printed(source) == text


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{ }}", ":1: missing value for command"),
        ("{{ if }}a{{ end }}", ":1: missing value for if"),
        ("{{ range }}a{{ end }}", ":1: missing value for range"),
        ("{{ if 0 }}{{ else if }}{{ end }}", ":1: missing value for if"),
        ("{{ $a := }}", ":1: missing value for command"),
        ("{{ | print }}", ':1: unexpected "|" in command'),
        ("{{ 1 | 2 }}", ":1: non executable command in pipeline stage 2"),
        ("{{ 1, 2 }}", ':1: unexpected "," in operand'),
        ("{{ 1 == 2 }}", ':1: unexpected "=" in operand'),
        ("{{ == }}", ':1: unexpected "=" in command'),
        ("{{ .a.b. }}", ":1: unexpected <.> in operand"),
        ("{{ nosuch }}", ':1: function "nosuch" not defined'),
        ("a\n\n{{ nosuch 1 }}", ':3: function "nosuch" not defined'),
        ("{{ `a\n` }}{{ nosuch }}", ':2: function "nosuch" not defined'),
        ("{{ $x }}", ':1: undefined variable "$x"'),
        ("{{ range $x := 3 }}{{ end }}{{ $x }}", ':1: undefined variable "$x"'),
        ("{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", ':1: undefined variable "$x"'),
        ('{{ $x := 1 }}{{ define "a" }}{{ $x }}{{ end }}', ':1: undefined variable "$x"'),
        ("{{ $a, $b := 1 }}", ":1: too many declarations in command"),
        ("{{ range $a, $b, $c := 1 }}{{ end }}", ":1: too many declarations in range"),
        ("{{ range $a, b := 1 }}{{ end }}", ":1: range can only initialize variables"),
        ("{{ else }}", ":1: unexpected {{else}}"),
        ("a\n{{ end }}", ":2: unexpected {{end}}"),
        ("{{ if 1 }}", ":1: unexpected EOF"),
        ("{{ if 1 }}\n\n", ":3: unexpected EOF"),
        ("{{ if 1 }}a{{ else }}b{{ else }}c{{ end }}", ":1: expected end; found {{else}}"),
        ("{{ if 1 }}a{{ else x }}b{{ end }}", ':1: unexpected "x" in else'),
        ("{{ if 1 }}a{{ else with 1 }}b{{ end }}", ":1: unexpected <with> in input"),
        ("{{ with 1 }}a{{ else if 1 }}b{{ end }}", ":1: unexpected <if> in input"),
        ("{{ if 1 }}{{ end x }}", ':1: unexpected "x" in end'),
        ("{{ break }}", ":1: {{break}} outside {{range}}"),
        ("{{ range 1 }}{{ end }}{{ continue }}", ":1: {{continue}} outside {{range}}"),
        ("{{ range 1 }}{{ break x }}{{ end }}", ':1: unexpected "x" in {{break}}'),
        ('{{ define "x" }}', ":1: unexpected EOF"),
        ('{{ define "x" y }}{{ end }}', ':1: unexpected "y" in define clause'),
        ('{{ define "x" }}{{ else }}{{ end }}', ":1: unexpected {{else}} in define clause"),
        ('{{ if 1 }}{{ define "x" }}{{ end }}{{ end }}', ":1: unexpected <define> in command"),
        ("{{ template }}", ':1: unexpected "}}" in template clause'),
        ("{{ template x . }}", ':1: unexpected "x" in template clause'),
    ],
)
def test_a_mistake_is_told_with_its_line(source: str, error: str) -> None:
    assert failure(source) == f"template: {error}"


def test_a_template_must_be_given_a_value() -> None:
    """The reference refuses what Go would run on nothing."""
    assert failure('{{ define "x" }}{{ end }}{{ template "x" }}') == "undefined template specified"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a" * 70_000, "longer than 65536 characters"),
        ("{{ " + "(" * 30_000 + "1" + ")" * 30_000 + " }}", "nested too deeply"),
        ("{{ if 1 }}" * 3000 + "{{ end }}" * 3000, "nested too deeply"),
        ("{{ range 1 }}" * 70 + "{{ end }}" * 70, "nested too deeply"),
        ('{{ block "a" 1 }}' * 70 + "{{ end }}" * 70, "nested too deeply"),
    ],
    ids=["long", "parentheses", "ifs", "ranges", "blocks"],
)
def test_what_would_exhaust_the_parser_is_refused(source: str, error: str) -> None:
    assert error in failure(source)


def test_nesting_as_deep_as_templates_have_it_is_read() -> None:
    assert printed("{{ if 1 }}" * 30 + "a" + "{{ end }}" * 30) == "a"


def test_thousands_of_actions_are_read_in_linear_time() -> None:
    """Were each one's line counted from the top, this would take very long."""
    assert printed("{{1}}" * 5000) == "1" * 5000
