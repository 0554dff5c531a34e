"""No template, in either language, gets more than an error out of any conversation."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool
from tests.support.any_conversation import CONVERSATIONS, THINK, TOOL_LISTS
from tests.support.rendering import RenderingProcesses

GO = """
{{ range .Messages }}|{{ range $i, $m := .Messages }}|{{ range .ToolCalls }}|{{ range .Tools }}
{{ range .Function.Parameters.Properties }}|{{ with .Function }}|{{ if .Thinking }}|{{ else }}
{{ end }}|{{ . }}|{{ .Role }}|{{ .Content }}|{{ .Function }}|{{ .Function.Arguments }}|{{ json . }}
{{ .ToTypeScriptType }}|{{ toTypeScriptType . }}|{{ len . }}|{{ index . 0 }}|{{ slice . 1 }}
{{ printf "%s %v %q %d" . . . . }}|{{ eq .Role "user" }}|{{ .Images }}|{{ .ToolCallID }}|text
{{ $.System }}|{{ .Prompt }}|{{ .Response }}|{{ .Think }}|{{ .ThinkLevel }}|{{ currentDate }}
{{ and .Content .ToolCalls }}|{{ lt (len .Content) 3 }}|{{ break }}|{{ $x := . }}|{{ $x }}
""".replace("\n", "|").split("|")
JINJA = """
{% for m in messages %}|{% for t in tools %}|{% for c in m.tool_calls %}|{% if m.role == 'user' %}
{% else %}|{% endif %}|{% endfor %}|{% generation %}|{% endgeneration %}|{{ m.content }}|{{ m }}
{{ t | tojson }}|{{ c.function.arguments | tojson(indent=2) }}|{{ m.content.split('x')[-1] }}|text
{{ c.function.arguments.items() | list }}|{% set x = m %}|{{ x }}|{{ messages[-1].name }}
{{ m.content | trim ~ t.function.name }}|{{ loop.index0 }}|{{ strftime_now('%Y') }}|{% break %}
{{ raise_exception(m.content) }}|{{ m.__class__ }}|{{ lipsum() }}|{{ range(10 ** 9) | list }}
""".replace("\n", "|").split("|")


@given(st.lists(st.sampled_from(GO), max_size=12).map("".join), CONVERSATIONS, TOOL_LISTS, THINK)
@settings(max_examples=40, deadline=None)
def test_any_go_template_renders_or_raises_template_error(
    processes: RenderingProcesses,
    source: str,
    messages: list[Message],
    tools: list[Tool],
    think: Think | None,
) -> None:
    with suppress(TemplateError):
        with suppress(TemplateError):
            processes.suffix(source, "a", "b", think)
        assert isinstance(processes.go(source, messages, tools, think), str)


@given(st.lists(st.sampled_from(JINJA), max_size=12).map("".join), CONVERSATIONS, TOOL_LISTS, THINK)
@settings(max_examples=40, deadline=None)
def test_any_jinja_template_renders_or_raises_template_error(
    processes: RenderingProcesses,
    source: str,
    messages: list[Message],
    tools: list[Tool],
    think: Think | None,
) -> None:
    with suppress(TemplateError):
        assert isinstance(processes.jinja(source, messages, tools, think), str)
