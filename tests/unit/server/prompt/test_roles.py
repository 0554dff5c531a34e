"""What a developer says reaches every model, whether or not its template knows developers."""

import pytest

from server.prompt.messages import Message
from server.prompt.renderer import ConversationRenderer
from server.prompt.renderers.table import RENDERERS
from server.prompt.roles import in_known_roles
from tests.support.rendering import go_renderer, jinja_renderer

SYSTEM, DEVELOPER, USER = (Message(r, r.upper()) for r in ("system", "developer", "user"))
GO_TURNS = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"
GO_KNOWN = (
    '{{ range .Messages }}{{ if eq .Role "system" }}S:{{ .Content }} '
    '{{ else if eq .Role "user" }}U:{{ .Content }}{{ end }}{{ end }}'
)
JINJA_STRICT = (
    "{% for m in messages %}{% if m.role not in ('system', 'user') %}"
    "{{ raise_exception('unknown role') }}{% endif %}{{ m.role[0] }}:{{ m.content }} {% endfor %}"
)


def rendered(renderer: ConversationRenderer, *messages: Message) -> str:
    return renderer.render(in_known_roles(messages, renderer), (), None)


@pytest.mark.parametrize(
    ("renderer", "prompt"),
    [
        (go_renderer(GO_TURNS), "<developer>DEVELOPER<user>USER"),
        (go_renderer(GO_KNOWN), "S:DEVELOPER U:USER"),
        (go_renderer("{{ .System }}|{{ .Prompt }}"), "DEVELOPER|USER"),
        (jinja_renderer(JINJA_STRICT), "s:DEVELOPER u:USER "),
    ],
    ids=["shows any role", "shows known roles", "has no roles", "refuses unknown roles"],
)
def test_what_a_developer_says_is_read(renderer: ConversationRenderer, prompt: str) -> None:
    assert rendered(renderer, DEVELOPER, USER) == prompt


def test_neighbours_become_one_instruction() -> None:
    strict = jinja_renderer(JINJA_STRICT)

    assert rendered(strict, SYSTEM, DEVELOPER, USER, DEVELOPER) == (
        "s:SYSTEM\n\nDEVELOPER u:USER s:DEVELOPER "
    )


@pytest.mark.parametrize("family", RENDERERS)
def test_every_family_reads_what_a_developer_says(family: str) -> None:
    assert "DEVELOPER" in rendered(RENDERERS[family], DEVELOPER, USER)
