"""Templates that call themselves, and long ones, are no danger to the interpreter."""

import pytest

from server.errors import TemplateError
from tests.support.go_templates import failure, printed

RECURSION = '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}'
MUTUAL_RECURSION = """{{ define "a" }}{{ template "b" . }}{{ end -}}
{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"""
DEEP_RECURSION = (
    '{{ define "x" }}' + "{{ with 1 }}" * 50 + '{{ template "x" 1 }}' + "{{ end }}" * 51
) + '{{ template "x" 1 }}'


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (RECURSION, "maximum template depth"),
        (MUTUAL_RECURSION, "maximum template depth"),
        (DEEP_RECURSION, "nested too deeply|maximum template depth"),
        ("{{ $x := json .deep }}", "nested too deeply"),
    ],
    ids=[
        "recursion",
        "mutual recursion",
        "deep recursion",
        "deep data",
    ],
)
def test_what_is_nested_without_end_is_an_error(source: str, error: str) -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    with pytest.raises(TemplateError, match=error):
        printed(source, deep=deep)


def test_an_ordinary_loop_stays_far_from_the_limits() -> None:
    """A conversation of ten thousand turns."""
    source = "{{ range .turns }}<|{{ .role }}|>{{ .content }}<|end|>\n{{ end }}"
    turns = [{"role": "user", "content": "x" * 400}] * 10_000

    assert len(printed(source, turns=turns)) > 4_000_000


def test_an_error_shows_only_the_beginning_of_a_long_action() -> None:
    assert len(failure("{{ .a " + "1 " * 5000 + "}}")) < 500
