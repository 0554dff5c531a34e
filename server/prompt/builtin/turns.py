"""Go templates for conversations that are written turn by turn.

In the texts of turns `%s` stands for what was said. An answer that was begun is left open.
"""

from typing import Final

_EACH: Final = "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
_HOLD: Final = (
    '{{ if $system }}{{ $system = printf "%s\\n\\n%s" $system .Content }}'
    "{{ else }}{{ $system = .Content }}{{ end }}"
)


def alike(turn: str, tail: str) -> str:
    """Return a template whose turns differ only in the role, `{{ .Role }}`; `tail` asks for one."""
    before, after = turn.split("%s")
    begun = '(and $last (eq .Role "assistant"))'
    return (
        f"{_EACH}{before}{{{{ .Content }}}}{{{{ if not {begun} }}}}{after}{{{{ end }}}}\n"
        f"{_tail(tail)}{{{{ end }}}}"
    )


def by_role(
    *, system: str, user: str, assistant: str, tail: str, opening: str = "", begun: str = ""
) -> str:
    """Return a template with a form for each role; `tail` asks for an answer.

    `opening` stands before everything, `begun` before the text of an answer that is to be gone
    on with, where that is not what stands before other answers.
    """
    turn = '{{- if eq .Role "system" }}' + system.replace("%s", "{{ .Content }}")
    return f"{opening}{_EACH}\n{turn}{_rest(user, assistant, tail, begun)}"


def holding(*, system: str, user: str, assistant: str, tail: str, opening: str = "") -> str:
    """Return a template that writes a system text in the next turn of the user, at `{system}`."""
    held = system.replace("%s", "{{ $system }}")
    shown = f'{{{{ if $system }}}}{held}{{{{ $system = "" }}}}{{{{ end }}}}'
    turn = f'{{{{- if eq .Role "system" }}}}{_HOLD}'
    rest = _rest(user.replace("{system}", shown), assistant, tail)
    return f'{{{{ $system := "" }}}}{opening}{_EACH}\n{turn}{rest}'


def _rest(user: str, assistant: str, tail: str, begun: str = "") -> str:
    before, after = assistant.split("%s")
    if begun:
        before = f"{{{{ if $last }}}}{begun}{{{{ else }}}}{before}{{{{ end }}}}"
    return (
        '{{ else if eq .Role "user" }}'
        + user.replace("%s", "{{ .Content }}")
        + '{{ else if eq .Role "assistant" }}'
        + f"{before}{{{{ .Content }}}}{{{{ if not $last }}}}{after}{{{{ end }}}}{{{{ end }}}}\n"
        + f"{_tail(tail)}{{{{ end }}}}"
    )


def _tail(tail: str) -> str:
    return f'{{{{- if and $last (ne .Role "assistant") }}}}{tail}{{{{ end }}}}'
