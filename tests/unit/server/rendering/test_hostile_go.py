"""A hostile Go template ends with an error, soon, whatever it does."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TemplateError
from server.prompt.messages import Message, Tool
from server.prompt.template import GoTemplate
from tests.support.rendering import RenderingProcesses

DOUBLING = '{{ $s := "<" }}{{ range %d }}{{ $s = print $s $s }}{{ end }}'


@pytest.mark.parametrize(
    "source",
    [
        "{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}",
        "{{ range 999999999999 }}" + "a" * 50_000 + "{{ end }}",
        DOUBLING % 99,
        DOUBLING % 20 + "{{ range 99999 }}{{ html $s }}{{ end }}",
        DOUBLING % 26 + "{{ html $s }}",
        '{{ printf "' + "%999999d" * 1000 + '" ' + "1 " * 1000 + "}}",
        '{{ $s := "%d" }}{{ range 26 }}{{ $s = print $s $s }}{{ end }}{{ printf $s }}',
        "{{$a:=1}}" * 6000 + "{{ range 900000 }}{{ $ }}{{ end }}",
        "{{ range 900000 }}{{ or " + "0 " * 5000 + "}}{{ end }}",
        "{{ range 900000 }}{{ range $.Messages }}{{ json $ }}{{ end }}{{ end }}",
    ],
    ids=[
        "nested ranges",
        "output",
        "doubling",
        "long texts",
        "escaping",
        "widths",
        "directives",
        "many variables",
        "many arguments",
        "large values",
    ],
)
def test_what_would_not_end_or_fill_the_memory_is_ended(
    source: str, processes: RenderingProcesses
) -> None:
    with pytest.raises(TemplateError, match="takes too much time or space"):
        processes.go(source, [Message("user", "x" * 9999)] * 99)


def test_a_long_conversation_does_not_multiply_what_is_allowed(
    processes: RenderingProcesses,
) -> None:
    """What a template may take for one exchange it may not take for each of a thousand."""
    messages = [Message(role, "x") for _ in range(20_000) for role in ("user", "assistant")]

    with pytest.raises(TemplateError, match="takes too much"):
        processes.go("a" * 60_000 + "{{ .Prompt }}", messages)


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


TOOLS = [Tool("function", "f", "F", {"properties": {"a": {"type": "string"}}})]


@given(SOURCES)
@settings(max_examples=150, deadline=None)
def test_any_text_renders_or_raises_template_error(
    processes: RenderingProcesses, source: str
) -> None:
    messages = [Message("system", "s"), Message("user", "text"), Message("assistant", "x")]
    with suppress(TemplateError):
        GoTemplate(source)
        processes.suffix(source, "a", "b", None)
    with suppress(TemplateError):
        processes.go(source, messages, TOOLS)
