"""Conversations become prompts as the reference makes them from the same Go template."""

import pytest

from server.errors import TemplateError
from server.prompt.messages import Message, Think, Tool, ToolCall
from server.prompt.template import GoTemplate
from tests.support.rendering import go_renderer

SYSTEM, USER, REPLY = Message("system", "x"), Message("user", "1"), Message("assistant", "2")
NEXT = Message("user", "3")
PREFILL = Message("assistant", "pre")
TURNS = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"
EXCHANGE = "{{ if .System }}S:{{ .System }}\n{{ end }}U:{{ .Prompt }}\nA:{{ .Response }}</s>\n"
GUARDED = (
    "{{ if .Prompt }}U:{{ .Prompt }}{{ end }}{{ if .Response }}A:{{ .Response }}<e>{{ end }}tail"
)
GAP = "<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>"


def rendered(
    source: str,
    *messages: Message,
    tools: tuple[Tool, ...] = (),
    think: Think | None = None,
) -> str:
    return go_renderer(source).render(messages, tools, think)


@pytest.mark.parametrize(
    ("source", "messages", "prompt"),
    [
        (EXCHANGE, (SYSTEM, USER, REPLY, NEXT), "S:x\nU:1\nA:2</s>\nU:3\nA:"),
        (EXCHANGE, (USER, PREFILL), "U:1\nA:pre"),
        (EXCHANGE, (USER, REPLY, SYSTEM, NEXT), "U:1\nA:2</s>\nS:x\nU:3\nA:"),
        (EXCHANGE, (SYSTEM, USER), "S:x\nU:1\nA:"),
        (EXCHANGE, (USER, SYSTEM), "U:1\nA:</s>\nS:x\nU:\nA:"),
        (EXCHANGE, (REPLY, NEXT), "U:\nA:2</s>\nU:3\nA:"),
        (EXCHANGE, (), "U:\nA:"),
        (EXCHANGE, (USER, Message("tool", "42"), NEXT), "U:3\nA:"),
        (GUARDED, (USER, REPLY, NEXT), "U:1A:2<e>tailU:3"),
        (GUARDED, (USER, PREFILL), "U:1A:pre"),
        ("{{ .Prompt }}", (USER, REPLY, NEXT), "123"),
        (GAP, (USER, PREFILL), "<PRE> 1 <SUF><no value> <MID>pre"),
        ("{{ .Prompt }}{{ .Tools }}", (USER,), "1<no value>"),
    ],
    ids=[
        "exchange by exchange",
        "prefilled answer",
        "system in between",
        "system first",
        "system last",
        "answer first",
        "nothing",
        "tools are unknown",
        "conditions are no cut",
        "conditions before a prefill",
        "response is appended",
        "suffix without one",
        "tools are missing",
    ],
)
def test_a_template_without_messages_is_run_once_for_each_exchange(
    source: str, messages: tuple[Message, ...], prompt: str
) -> None:
    """The last exchange ends where the model goes on."""
    assert rendered(source, *messages) == prompt


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ((SYSTEM, USER, REPLY, NEXT), "<system>x<user>1<assistant>2<user>3"),
        ((USER, NEXT, REPLY), "<user>1\n\n3<assistant>2"),
        ((REPLY, REPLY, REPLY), "<assistant>2\n\n2\n\n2"),
        ((Message("tool", "a"), Message("tool", "b")), "<tool>a<tool>b"),
        ((USER, Message("user", "")), "<user>1\n\n"),
        ((), ""),
    ],
)
def test_neighbours_of_one_role_become_one_message(
    messages: tuple[Message, ...], prompt: str
) -> None:
    """Results of tools stay apart."""
    assert rendered(TURNS, *messages) == prompt


def test_a_merged_message_keeps_what_else_the_first_one_holds() -> None:
    call = ToolCall("", 0, "f", {})
    first = Message("assistant", "a", thinking="t1")
    source = "{{ range .Messages }}{{ .Content }}|{{ .Thinking }}|{{ len .ToolCalls }}{{ end }}"

    shown = rendered(source, first, Message("assistant", "b", thinking="t2", tool_calls=(call,)))

    assert shown == "a\n\nb|t1|0"


def test_all_system_texts_are_one_wherever_they_stand() -> None:
    messages = (SYSTEM, USER, Message("system", "y"))

    assert rendered("{{ .System }}" + TURNS, *messages) == "x\n\ny<system>x<user>1<system>y"


def test_a_template_with_messages_sees_an_empty_response_and_no_prompt() -> None:
    shown = rendered("{{ range .Messages }}{{ end }}[{{ .Response }}][{{ .Prompt }}]", USER)

    assert shown == "[][<no value>]"


@pytest.mark.parametrize(
    ("think", "shown"),
    [
        (None, "false  false"),
        (False, "false  true"),
        (True, "true medium true"),
        ("low", "true low true"),
    ],
)
def test_a_template_is_told_how_much_to_think(think: Think | None, shown: str) -> None:
    source = "{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}"

    assert rendered(source, think=think) == shown
    assert rendered(source + TURNS, think=think) == shown
    assert go_renderer(source).render_suffix("p", "s", think) == shown


def test_a_gap_shows_what_stands_before_and_behind_it() -> None:
    assert go_renderer(GAP).render_suffix("a", "b", None) == "<PRE> a <SUF>b <MID>"
    assert "suffix" in GoTemplate(GAP).variables


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ .Prompt }}", {"prompt", "response"}),
        ("{{ .Prompt }}{{ .Response }}", {"prompt", "response"}),
        (TURNS, {"messages", "role", "content"}),
        ("text", {"response"}),
    ],
)
def test_the_response_is_printed_by_every_template_without_messages(
    source: str, names: set[str]
) -> None:
    assert GoTemplate(source).variables == names


def test_the_thinking_tags_of_a_template_are_known() -> None:
    assert GoTemplate("{{ range .Messages }}<a>{{ .Thinking }}</a>{{ end }}").thinking_tags == (
        "<a>",
        "</a>",
    )
    assert GoTemplate(TURNS).thinking_tags is None


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{ .Prompt", "^template: :1: unclosed action$"),
        ("{{ .Prompt.x }}", "can't evaluate field x in type string"),
        ("{{ range .Messages }}{{ .Nope }}{{ end }}", "can't evaluate field Nope in type Message"),
        ("{{ .Messages.Nope }}", "can't evaluate field Nope"),
    ],
)
def test_a_broken_template_says_what_is_wrong(source: str, error: str) -> None:
    with pytest.raises(TemplateError, match=error):
        rendered(source, USER)
