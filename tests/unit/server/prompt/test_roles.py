"""What a developer says reaches every model, whether or not its template knows developers."""

import pytest

from server.prompt.jinja import JinjaTemplate
from server.prompt.messages import Message
from server.prompt.renderer import Renderer
from server.prompt.renderers.table import RENDERERS
from server.prompt.roles import in_known_roles
from server.prompt.template import GoTemplate

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


def rendered(renderer: Renderer, *messages: Message) -> str:
    return renderer.render(in_known_roles(messages, renderer), (), None)


@pytest.mark.parametrize(
    ("renderer", "prompt"),
    [
        (GoTemplate(GO_TURNS), "<developer>DEVELOPER<user>USER"),
        (GoTemplate(GO_KNOWN), "S:DEVELOPER U:USER"),
        (GoTemplate("{{ .System }}|{{ .Prompt }}"), "DEVELOPER|USER"),
        (JinjaTemplate(JINJA_STRICT, bos="", eos=""), "s:DEVELOPER u:USER "),
    ],
    ids=["shows any role", "shows known roles", "has no roles", "refuses unknown roles"],
)
def test_what_a_developer_says_is_read(renderer: Renderer, prompt: str) -> None:
    assert rendered(renderer, DEVELOPER, USER) == prompt


def test_neighbours_become_one_instruction() -> None:
    strict = JinjaTemplate(JINJA_STRICT, bos="", eos="")

    assert rendered(strict, SYSTEM, DEVELOPER, USER, DEVELOPER) == (
        "s:SYSTEM\n\nDEVELOPER u:USER s:DEVELOPER "
    )


@pytest.mark.parametrize("family", RENDERERS)
def test_every_family_reads_what_a_developer_says(family: str) -> None:
    assert "DEVELOPER" in rendered(RENDERERS[family], DEVELOPER, USER)
