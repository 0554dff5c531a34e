"""Text is put together as Go's fmt package does it."""

import pytest

from server.prompt.gotemplate.values import JSONList, Struct
from tests.support.go_templates import failure, printed

DATA: dict[str, object] = {
    "list": ["a", "b", 1.5, None],
    "map": {"b": 1.0, "a": "x"},
    "null": None,
    "million": 1e6,
}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("print", ""),
        ('print "a" "b"', "ab"),
        ("print 1 2", "1 2"),
        ('print 1 "a" 2 3', "1a2 3"),
        ("print true nil .list", "true <nil> [a b 1.5 <nil>]"),
        ("println", "\n"),
        ('println 1 "a" "b"', "1 a b\n"),
    ],
)
def test_values_are_printed_one_after_the_other(call: str, text: str) -> None:
    assert printed("{{ " + call + " }}", **DATA) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('"%s|%s" "a" "b"', "a|b"),
        ('"%d%%" 50', "50%"),
        ('"%v %v %v %v" 1 "a" true nil', "1 a true <nil>"),
        ('"%v %s" .list .map', "[a b 1.5 <nil>] map[a:x b:%!s(float64=1)]"),
        ('"%s" .list', "[a b %!s(float64=1.5) <nil>]"),
        ('"%q" .list', '["a" "b" %!q(float64=1.5) <nil>]'),
        ('"%5s|%-5s|%.1s" "ab" "ab" "ab"', "   ab|ab   |a"),
        ('"%5d|%-5d|%05d|%+d|% d" 12 12 12 12 12', "   12|12   |00012|+12| 12"),
        ('"%05d|%.3d" -12 7', "-0012|007"),
        ('"%x %X %o %b %#x" 255 255 8 5 255', "ff FF 10 101 0xff"),
        ('"%c %U %q" 65 65 65', "A U+0041 'A'"),
        ('"%x %X" "\u00e9" "\u00e9"', "c3a9 C3A9"),
        ('"%.2f %6.1f %f" 1.234 2.5 1.0', "1.23    2.5 1.000000"),
        ('"%e %g %v" 1500.0 1500.0 .million', "1.500000e+03 1500 1e+06"),
        ('"%t" true', "true"),
        ('"%T %T %T" 1 "a" nil', "int string <nil>"),
        ('"%q" "a\\"\\n\\x00\\u200b\u00e9"', '"a\\"\\n\\x00\\u200b\u00e9"'),
        ('"%*d|%-*d|%*d|" 4 1 4 1 -4 1', "   1|1   |1   |"),
        ('"%.*f" 1 2.55', "2.5"),
    ],
)
def test_printf_knows_go_s_directives(call: str, text: str) -> None:
    assert printed("{{ printf " + call + " }}", **DATA) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('"%d"', "%!d(MISSING)"),
        ('"%d" "a"', "%!d(string=a)"),
        ('"%s" 1', "%!s(int=1)"),
        ('"%d" 1.5', "%!d(float64=1.5)"),
        ('"%s" .null', "%!s(<nil>)"),
        ('"%z" 1', "%!z(int=1)"),
        ('"a" 1 "b" nil', "a%!(EXTRA int=1, string=b, <nil>)"),
        ('"a%"', "a%!(NOVERB)"),
        ('"%*d" "a" 1', "%!(BADWIDTH)1"),
        ('"%.*d" -1 1', "%!(BADPREC)1"),
    ],
)
def test_a_mistake_in_printf_shows_in_the_text(call: str, text: str) -> None:
    assert printed("{{ printf " + call + " }}", **DATA) == text


def test_what_prints_as_json_does_so_in_printf_too() -> None:
    """`printf "%s" .Tools` is how some templates list their tools."""
    tool = Struct("Tool", {"Name": "f"}, {"name": "f"}, prints_json=True)
    plain = Struct("Call", {"Name": "f", "Index": 0}, {})

    shown = printed('{{ printf "%s %v %s" .all .all .call }}', all=JSONList([tool]), call=plain)

    assert shown == '[{"name":"f"}] [{"name":"f"}] {f %!s(int=0)}'


def test_a_width_beyond_all_measure_is_a_mistake() -> None:
    assert printed('{{ printf "%1000000000d|" 1 }}') == "%!(BADWIDTH)1|"


def test_printf_wants_a_text_first() -> None:
    assert "wrong type for value; expected string; got int" in failure("{{ printf 1 }}")
