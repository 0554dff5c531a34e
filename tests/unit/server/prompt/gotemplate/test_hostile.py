"""A hostile template ends with an error, soon, whatever it does."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TemplateError
from server.prompt.gotemplate.evaluate import execute
from server.prompt.gotemplate.inspection import thinking_tags, up_to_response, variables
from server.prompt.gotemplate.parser import parse
from server.prompt.render_budget import Allowance
from tests.support.deadlines import hurried
from tests.support.go_templates import failure, printed

RECURSION = '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}'
MUTUAL_RECURSION = """{{ define "a" }}{{ template "b" . }}{{ end -}}
{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"""
DEEP_RECURSION = (
    '{{ define "x" }}' + "{{ with 1 }}" * 50 + '{{ template "x" 1 }}' + "{{ end }}" * 51
) + '{{ template "x" 1 }}'
DOUBLING = '{{ $s := "<" }}{{ range %d }}{{ $s = print $s $s }}{{ end }}'


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (RECURSION, "maximum template depth"),
        (MUTUAL_RECURSION, "maximum template depth"),
        (DEEP_RECURSION, "nested too deeply|maximum template depth"),
        ("{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}", "takes too much"),
        ("{{ range 99999 }}" + "a" * 50_000 + "{{ end }}", "takes too much"),
        (DOUBLING % 99, "the text is too long|takes too much"),
        (DOUBLING % 20 + "{{ range 99999 }}{{ len $s }}{{ end }}", "takes too much"),
        (DOUBLING % 23 + "{{ html $s }}", "the text is too long"),
        ("{{ $x := json .deep }}", "nested too deeply"),
    ],
    ids=[
        "recursion",
        "mutual recursion",
        "deep recursion",
        "nested ranges",
        "output",
        "doubling",
        "long texts",
        "escaping",
        "deep data",
    ],
)
def test_what_would_not_end_or_fill_the_memory_is_ended(source: str, error: str) -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    with pytest.raises(TemplateError, match=error):
        printed(source, deep=deep)


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("{{$a:=1}}" * 6000 + "{{ range 900000 }}{{ $ }}{{ end }}", {}),
        ("{{ range 900000 }}{{ or " + "0 " * 5000 + "}}{{ end }}", {}),
        ("{{ range 900000 }}{{ range $.map }}{{ break }}{{ end }}{{ end }}", {"map": True}),
        ("{{ range 900000 }}{{ $x := json $.map }}{{ end }}", {"map": True}),
    ],
    ids=["many variables", "many arguments", "sorted keys", "large values"],
)
def test_steps_that_take_long_are_ended_by_the_clock(source: str, data: dict[str, object]) -> None:
    if data:
        data = {"map": {str(key): 1 for key in range(1000)}}

    with pytest.raises(TemplateError, match="takes too much"):
        execute(parse(source), data, Allowance(hurried(300)))


def test_an_ordinary_loop_stays_far_from_the_limits() -> None:
    """A conversation of ten thousand turns."""
    source = "{{ range .turns }}<|{{ .role }}|>{{ .content }}<|end|>\n{{ end }}"
    turns = [{"role": "user", "content": "x" * 400}] * 10_000

    assert len(printed(source, turns=turns)) > 4_000_000


def test_all_executions_that_make_one_prompt_share_its_allowance() -> None:
    """Otherwise a conversation of a thousand turns would run a thousand times as long."""
    tree, allowance = parse("{{ range 40 }}{{ end }}"), Allowance(hurried(100))
    execute(tree, {}, allowance)
    execute(tree, {}, allowance)

    with pytest.raises(TemplateError, match="takes too much"):
        execute(tree, {}, allowance)


def test_an_error_shows_only_the_beginning_of_a_long_action() -> None:
    assert len(failure("{{ .a " + "1 " * 5000 + "}}")) < 500


STATEMENTS = """
{{ if .a }}|{{ else if .l }}|{{ else }}|{{ end }}|{{ with .m }}|{{ range .l }}|{{ range 99999 }}
{{ range $k, $v := .m }}|{{ break }}|{{ continue }}|{{ define "t" }}|{{ template "t" . }}
{{ block "b" .m }}|{{ $x := .l }}|{{ $x = print $x $x }}|{{ $x }}|{{ .a }}|{{ .m.a.b }}|{{ . }}
{{ printf "%99999s%d%v" .l .m }}|{{ index .l 0 }}|{{ slice .a 1 9 }}|{{ json . }}|{{ len .m }}
{{ eq .a .l }}|{{ lt 1 .a }}|{{ and .a (or .m 1) }}|{{ .Response }}|{{- /* c */ -}}|text|{{ nil }}
{{ html .l }}|{{ js .a }}|{{ call .a }}|{{ not .l }}|{{ (.m).a }}|{{ .Messages }}|{{ "\\xff" }}
""".replace("\n", "|").split("|")
PIECES = """
{{ }} {{- -}} ( ) | . .a $ $x := = , " ` ' \\ 1 -1 1e9 0x 'a' nil true if else end range with
define template block break print printf "%9999v" index /* */ \n \t \u2603 \ud800 - + # :
""".split(" ")
SOURCES = st.one_of(
    st.text(),
    st.lists(st.sampled_from(STATEMENTS)).map("".join),
    st.lists(st.sampled_from(PIECES)).map(" ".join),
    st.lists(st.sampled_from(PIECES)).map(lambda pieces: "{{ " + " ".join(pieces) + " }}"),
)
DATA = {"a": "text", "l": ["x", 1.0, None, {"a": 1}], "m": {"a": {"b": 1.0}, "z": []}, "n": None}


@given(SOURCES)
@settings(max_examples=400, deadline=None)
def test_any_text_renders_or_raises_template_error(source: str) -> None:
    with suppress(TemplateError):
        tree = parse(source)
        variables(tree)
        thinking_tags(tree)
        for shown in (tree, up_to_response(tree)):
            execute(shown, DATA, Allowance(hurried(2000)))
