"""What the server concludes from a template's text: its variables, its cut, its thinking tags."""

import pytest

from server.prompt.gotemplate.evaluate import execute
from server.prompt.gotemplate.inspection import (
    has_text,
    thinking_tags,
    tool_call_tag,
    up_to_response,
    variables,
)
from server.prompt.gotemplate.parser import parse


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ with .Tools }}{{ . }}{{ end }}{{ .System }} {{ .Prompt }}", "prompt system tools"),
        ("{{ range $i, $m := .Messages }}{{ $m.Role }}{{ end }}", "$i $m messages role"),
        ("{{ if (and .A (eq .B.C 1)) }}{{ else if .D }}{{ else }}{{ .E }}{{ end }}", "a b c d e"),
        ("{{ (index .A 0).B | printf `%s` .C }}", "a b c"),
        ('{{ define "x" }}{{ .A }}{{ end }}{{ template "x" .B }}', "a b"),
        ("{{ range .A }}{{ else }}{{ .B }}{{ end }}", "a b"),
        ("{{ $.A }}{{ $x := .B }}{{ $x = .C }}", "$ $x a b c"),
        ("{{ .tools }}{{ `.Messages` }} .Suffix", "tools"),
        ("text", ""),
    ],
)
def test_every_name_counts_wherever_it_stands(source: str, names: str) -> None:
    """Whether a model takes tools, or a text to fill in, is told by these names."""
    assert variables(parse(source)) == set(names.split())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("U:{{ .Prompt }} A:{{ .Response }}</s>", "U:p A:r"),
        ("{{ if .Prompt }}U:{{ .Response }}<e>{{ end }}tail", "U:r"),
        ("{{ if .Response }}A:{{ .Response }}<e>{{ end }}tail", "A:r"),
        ("{{ if .Response }}A{{ end }}{{ .Response }}<e>", "Ar"),
        ("{{ with .Prompt }}{{ $.Response }}<e>{{ end }}tail", "r"),
        ("{{ range 2 }}{{ $.Response }}<e>{{ end }}tail", "rr"),
        ("{{ printf `%s` .Response }}<e>", "r"),
        ("{{ if .No }}{{ .Response }}a{{ else }}{{ .Response }}b{{ end }}c", "r"),
        ("{{ if .No }}{{ .Response }}a{{ else }}b{{ end }}c", "b"),
        ("{{ .Prompt }} no cut", "p no cut"),
    ],
)
def test_a_template_is_cut_behind_the_response(source: str, text: str) -> None:
    """What ends a turn is for the model to write."""
    data = {"Prompt": "p", "Response": "r"}

    assert execute(up_to_response(parse(source)), data) == text


LOOP = "{{ range .Messages }}%s{{ end }}"


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        (
            LOOP % "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}",
            ("<think>", "</think>"),
        ),
        (LOOP % "{{ if .Thinking }}\n <a>\n{{ .Thinking }}\n</a>\n{{ end }}", ("<a>", "</a>")),
        (LOOP % "<a>{{ .Content }}{{ .Thinking }}</a>", ("<a>", "</a>")),
        ("{{ range $i, $m := .Messages }}<a>{{ .Thinking }}</a>{{ end }}", ("<a>", "</a>")),
        (
            LOOP % "{{ if .A }}<a>{{ .Thinking }}</a>{{ else }}<b>{{ .Thinking }}</b>{{ end }}",
            ("<b>", "</b>"),
        ),
        (LOOP % "{{ if .Thinking }}<a>{{ .Thinking }}{{ end }}", None),
        (LOOP % "{{ if .Thinking }}{{ .Thinking }}</a>{{ end }}", None),
        (LOOP % "{{ if .Thinking }} {{ .Thinking }} {{ end }}", None),
        (LOOP % "{{ range .ToolCalls }}<a>{{ .Thinking }}</a>{{ end }}", None),
        ("<a>{{ .Thinking }}</a>", None),
        ("{{ range $.Messages }}<a>{{ .Thinking }}</a>{{ end }}", None),
        (LOOP % "<a>{{ $.Thinking }}</a>", None),
        ("{{ .Prompt }}", None),
    ],
)
def test_the_tags_around_thinking_are_found(source: str, tags: tuple[str, str] | None) -> None:
    """With both of them a model is one that thinks."""
    assert thinking_tags(parse(source)) == tags


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        ('{{if .ToolCalls}}<tool_call>{{range .ToolCalls}}{"x"}{{end}}{{end}}', "<tool_call>"),
        (
            '{{if .ToolCalls}}[TOOL_CALLS] [{{range .ToolCalls}}{"x"}{{end}}]{{end}}',
            "[TOOL_CALLS] [",
        ),
        ('{{if .ToolCalls}}{{range .ToolCalls}}{"name": "{{ .X }}"}{{end}}{{end}}', "{"),
        ("{{if .ToolCalls}}\n [ {{range .ToolCalls}}{{ . }}{{end}}]{{end}}", "["),
        ("{{if .ToolCalls}}Action: ```json\n{{ .ToolCalls }}{{end}}", "Action: ```json"),
        ("{{range .ToolCalls}}<tool_call>{{ . }}{{end}}", "{"),
        ("{{if .ToolCalls}}{{ .Content }}<tool_call>{{end}}", "{"),
        ("{{if .ToolCalls}}{{range .ToolCalls}}{{ . }}{{end}}<e>{{end}}", "{"),
        ("{{if (gt (len .ToolCalls) 0)}}<a>{{else if .ToolCalls}}<b>{{end}}", "<b>"),
        ("{{range .Messages}}{{if .Content}}<a>{{if .ToolCalls}}<b>{{end}}{{end}}{{end}}", "<b>"),
        ("{{if and .A .M.ToolCalls}}{{with .B}} {{if .C}}<b>{{end}}{{end}}{{end}}", "<b>"),
        ("{{$m := .}}{{if $m.ToolCalls}}<a>{{end}}", "{"),
        ("no tools", "{"),
    ],
)
def test_the_text_before_calls_is_told_from_how_the_template_prints_them(
    source: str, tag: str
) -> None:
    """Without it the calls that the model writes would not be found."""
    assert tool_call_tag(parse(source)) == tag


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ .Prompt }}", False),
        ("{{ .System }}\n{{ .Prompt }}", False),
        ('{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}{{ end }}{{ end }}', False),
        ("[INST]{{ .Prompt }}", True),
        ("{{ range .Messages }}{{ if .Content }}<s>{{ end }}{{ end }}", True),
        ('{{ range .Messages }}{{ "<|im_start|>" }}{{ .Content }}{{ end }}', True),
        ('{{ printf "<s>%s" .Prompt }}', True),
        ('{{ define "turn" }}<s>{{ . }}{{ end }}{{ template "turn" .Prompt }}', True),
    ],
)
def test_a_template_has_text_of_its_own_or_only_what_it_is_given(
    source: str, *, expected: bool
) -> None:
    assert has_text(parse(source)) is expected
