"""Which of a model's two templates is used is told by what they can do, not by which came last."""

from itertools import product

import pytest

from server.prompt.template import GoTemplate
from server.prompt.template_features import of_go, of_jinja, prefers_jinja

MESSAGES = "{{ range .Messages }}{{ .Content }}{{ end }}"
TOOLS = MESSAGES + "{{ .Tools }}"
CALLS = "{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}"
ROUND_TRIP = TOOLS + CALLS + '{{ range .Messages }}{{ if eq .Role "tool" }}{{ end }}{{ end }}'
THINKING = "{{ range .Messages }}{{ if .Thinking }}<a>{{ .Thinking }}</a>{{ end }}{{ end }}"
PLAIN = "{{ messages }}"
J_TOOLS = "{{ tools }}"
J_ROUND_TRIP = "{{ tools }}{{ message.tool_calls }}{% if message.role == 'tool' %}{% endif %}"
J_THINKING = "<think></think>"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (PLAIN, ""),
        (J_TOOLS, "tools"),
        ("{{ message['tool_calls'] }}", "tools"),
        ("<think>", ""),
        (J_THINKING, "thinking"),
        (J_TOOLS + J_THINKING, "tools thinking"),
        ("{{ content.split('</think>')[-1] }}", "thinking"),
        ('{{ content.split("</think>")[-1] }}', "thinking"),
        ("{{ content.split('</think>\")[-1] }}", ""),
        ("{{ content.split('</think>') }}{{ m.reasoning_content }}", ""),
        ("{{ content.split('</think>') }}<SPECIAL_12>", ""),
        (J_THINKING + "{{ m.reasoning_content }}", "thinking"),
    ],
)
def test_jinja_is_told_by_its_words(source: str, found: str) -> None:
    assert of_jinja(source) == set(found.split())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (MESSAGES, ""),
        (TOOLS, "tools"),
        (THINKING, "thinking"),
        ("{{ .Prompt }}{{ .Suffix }}", "insert"),
        (TOOLS + THINKING, "tools thinking"),
    ],
)
def test_go_is_told_by_its_variables(source: str, found: str) -> None:
    assert of_go(GoTemplate(source)) == set(found.split())


@pytest.mark.parametrize(
    ("go", "jinja", "preferred"),
    [
        (MESSAGES, PLAIN, False),
        (MESSAGES, J_TOOLS, True),
        (MESSAGES, J_THINKING, True),
        (TOOLS, PLAIN, False),
        (TOOLS, J_TOOLS, False),
        (TOOLS, J_ROUND_TRIP, True),
        (TOOLS, J_TOOLS + J_THINKING, True),
        (ROUND_TRIP, J_ROUND_TRIP, False),
        (ROUND_TRIP, J_TOOLS, False),
        (ROUND_TRIP, J_TOOLS + J_THINKING, False),
        (ROUND_TRIP, J_ROUND_TRIP + J_THINKING, True),
        (TOOLS + THINKING, J_TOOLS + J_THINKING, False),
        (TOOLS + THINKING, J_ROUND_TRIP + J_THINKING, True),
        (TOOLS, J_THINKING, False),
        (THINKING, J_ROUND_TRIP, False),
        ("{{ .Prompt }}{{ .Suffix }}", J_TOOLS, False),
    ],
)
def test_the_template_that_can_do_more_wins(go: str, jinja: str, preferred: bool) -> None:
    """One that shows the model the results of its calls never loses to one that does not."""
    assert prefers_jinja(GoTemplate(go), go, jinja) is preferred


@pytest.mark.parametrize(
    "word", ['{{ if eq .Role "tool" }}{{ end }}', "tool_response", "[TOOL_RESULTS]"]
)
def test_a_go_template_shows_results_where_it_knows_calls_too(word: str) -> None:
    shown = "{{ range .Messages }}" + word + "{{ end }}"

    assert prefers_jinja(GoTemplate(TOOLS + shown), TOOLS + shown, J_ROUND_TRIP)
    assert not prefers_jinja(GoTemplate(TOOLS + CALLS + shown), TOOLS + CALLS + shown, J_ROUND_TRIP)


@pytest.mark.parametrize(
    "word",
    [
        "tool_response",
        "tool_results",
        "ipython",
        *(f"message[{a}role{b}] == {c}tool{d}" for a, b, c, d in product("'\"", repeat=4)),
        "message.role == 'tool'",
        'message.role == "tool"',
    ],
)
def test_a_jinja_template_shows_results_where_it_knows_calls_too(word: str) -> None:
    go = GoTemplate(TOOLS)

    assert prefers_jinja(go, TOOLS, "{{ tools }}{{ tool_calls }}" + word)
    assert not prefers_jinja(go, TOOLS, "{{ tools }}" + word)
