"""White space, comments and the ends of actions fall where authors of templates put them."""

import pytest

from tests.support.go_templates import failure, printed


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a {{ 1 }} b", "a 1 b"),
        ("a {{- 1 -}} b", "a1b"),
        ("a \t\r\n {{- 1 }} b", "a1 b"),
        ("a {{ 1 -}} \t\r\n b", "a 1b"),
        ("a {{-1}} b", "a -1 b"),
        ("a {{-\n1\n-}} b", "a1b"),
        ("a \u00a0{{- 1 }}", "a \u00a01"),
        ("a\r\nb", "a\r\nb"),
        ("{{- 1 -}}", "1"),
        ("{{ 1 -}}}} b", "1}} b"),
        ("}} b", "}} b"),
        ('{{ "}}" }}', "}}"),
        ("", ""),
    ],
)
def test_trim_markers_take_the_white_space_on_their_side(source: str, text: str) -> None:
    assert printed(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a {{/* note */}} b", "a  b"),
        ("a {{- /* note */ -}} b", "ab"),
        ("a {{- /* note */}} b", "a b"),
        ("{{/* {{ 1 }} \n * / */}}b", "b"),
    ],
)
def test_a_comment_prints_nothing(source: str, text: str) -> None:
    assert printed(source) == text


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{/* note", "template: :1: unclosed comment"),
        ("a\n{{/* note\n", "template: :2: unclosed comment"),
        ("{{/* note */ x}}", "template: :1: comment ends before closing delimiter"),
        ("{{ /* note */ }}", 'template: :1: unexpected "/" in command'),
        ("{{ .Prompt", "template: :1: unclosed action"),
        ("{{ .Prompt\n\n", "template: :3: unclosed action started at :1"),
        ("a\n{{ .a }}\n{{ .b }", 'template: :3: unexpected "}" in operand'),
        ('{{ "abc }}', "template: :1: unterminated quoted string"),
        ('{{ "a\nb" }}', "template: :1: unterminated quoted string"),
        ("{{ `abc }}", "template: :1: unterminated raw quoted string"),
        ("{{ 'a }}", "template: :1: unterminated character constant"),
        ("{{ (1 }}", "template: :1: unclosed left paren"),
        ("{{ (1\n }}", "template: :2: unclosed left paren in action started at :1"),
        ("{{ 1) }}", "template: :1: unexpected right paren"),
        ("{{ \u2603 }}", "template: :1: unrecognized character in action: U+2603 '\u2603'"),
        ("{{ .a\u2603 }}", "template: :1: bad character U+2603 '\u2603'"),
        ("{{ .a# }}", "template: :1: bad character U+0023 '#'"),
        ("{{ a: }}", 'template: :1: function "a" not defined'),
        ("{{ : }}", "template: :1: expected :="),
        ("{{ 1x }}", 'template: :1: bad number syntax: "1x"'),
        ("{{ 0xg }}", 'template: :1: bad number syntax: "0xg"'),
        ("{{ - }}", 'template: :1: illegal number syntax: "-"'),
    ],
)
def test_a_malformed_action_is_told_with_its_line(source: str, error: str) -> None:
    assert failure(source) == error
