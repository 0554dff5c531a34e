"""Lark grammars of freeform tools become regular expressions for the same texts."""

import re
import time

import pytest

from server.schemas.lark_regex import LarkError, regex_of

PATCH = """
start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
"""
"""The grammar of the patch tool of a coding agent."""
SUM = """
// sums of products
start: expr
?expr: expr "+" term | term
term: (NUMBER "*")* NUMBER  -> product
%import common (NUMBER, WS_INLINE)
%ignore WS_INLINE
"""


def matches(grammar: str, text: str) -> bool:
    # Python has no `\x{…}`, which the engine's expressions do.
    pattern = re.sub(r"\\x\{(\w+)\}", lambda m: re.escape(chr(int(m[1], 16))), regex_of(grammar))
    return re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize(
    ("grammar", "text", "is_valid"),
    [
        (PATCH, "*** Begin Patch\n*** Add File: a\n+\n+b\n*** End Patch", True),
        (PATCH, "*** Begin Patch\n*** Update File: a\n@@ f\n-x\n+y\n*** End Patch\n", True),
        (PATCH, "*** Begin Patch\n*** Add File: a\nb\n*** End Patch", False),
        (PATCH, "*** Begin Patch\n*** End Patch", False),
        (SUM, "1 + 2*3", True),
        (SUM, "1+2+3.5", True),
        (SUM, "1 + ", False),
        ('start: "a" | "b"', "b", True),
        ('start: "a" "b"?', "a", True),
        ('start: ["a"] "b"', "b", True),
        ('start: "a"~2', "aa", True),
        ('start: "a"~2', "a", False),
        ('start: "a"~2..3', "aaa", True),
        ('start: "a"{,2} "b"', "aab", True),
        ('start: "a".."c"+', "abc", True),
        ('start: "ab"i', "aB", True),
        ("start: /a.b/s", "a\nb", True),
        ("start: /a.b/", "a\nb", False),
        (r"start: /a\/b/", "a/b", True),
        (r'start: "\"\\\n\u00e9."', '"\\\né.', True),
        ('start: "."', "x", False),
        ('start: item ("," item)*\nitem: WORD\nWORD: /[a-z]+/', "a,bc,d", True),
        ('start: list\nlist: list "," "x" | "x"', "x,x,x", True),
        ('start: list\nlist: "x" "," list | "x"', "x,x,x", True),
        ("start: A | _b\nA.2: /a/\n_b: /b/", "b", True),
        ("%import common.INT -> NUMBER\nstart: NUMBER", "42", True),
    ],
)  # fmt: skip
def test_the_same_texts_match(grammar: str, text: str, is_valid: bool) -> None:
    assert matches(grammar, text) is is_valid


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", 'there is no rule "start"'),
        ('a: "x"', 'there is no rule "start"'),
        ("start: b", 'there is no rule "b"'),
        ('start: "(" start ")" | "x"', 'rule "start" is recursive'),
        ('start: a\na: "x" b\nb: a | "y"', 'rule "a" is recursive'),
        ('start "x"', 'a ":" is missing behind "start"'),
        ('start: "x', "line 1 is not in Lark's syntax"),
        ('start: "x"\nstart: "y"', '"start" is defined twice'),
        ('start: ("x"', 'a ")" is missing'),
        ('start: "a"..b', "a string is missing"),
        ("start: %json", "%json is not supported"),
        ("%import other.X\nstart: X", '"other.X" cannot be imported'),
        ("start: " + "(" * 200 + '"x"' + ")" * 200, "it is nested too deeply"),
        ("x" * 70_000, "it is larger than 64 KiB"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_the_reason(grammar: str, reason: str) -> None:
    with pytest.raises(LarkError) as raised:
        regex_of(grammar)

    assert reason in str(raised.value)


def test_rules_that_multiply_are_refused_before_they_take_memory() -> None:
    """Each rule doubles the one before it: written out, the last has a billion characters."""
    rules = "\n".join(f"r{n}: r{n - 1} r{n - 1}" for n in range(1, 40))

    started = time.process_time()
    with pytest.raises(LarkError, match="too large"):
        regex_of(f'start: r39\nr0: "x"\n{rules}')
    assert time.process_time() - started < 5
