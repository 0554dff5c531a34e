"""Formats of chats and grammars of clients become what the matcher enforces, or a plain refusal."""

import itertools
import json

import pytest

from runners.engine.constraints.grammar import grammar_of
from runners.engine.constraints.matcher import BadConstraint, ConstraintFactory, Matcher
from runners.protocol.constraints import (
    GBNF,
    Choice,
    Concatenation,
    Constraint,
    JSONSchema,
    Lark,
    Literal,
    Regex,
    Repeat,
    SeparatedList,
    Until,
    Without,
)
from tests.unit.runners.engine.constraints.test_matcher import FACTORY, VOCABULARY, Tokens, allowed

NUMBER = JSONSchema('{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}')
CALL = Concatenation((Literal("<call>\n"), NUMBER, Literal("\n</call>")))
ANSWER = Choice((Without("<call>"), Concatenation((Until("<call>"), NUMBER, Literal("</call>")))))
THOUGHT = Concatenation((Until("</think>"), Regex(r"\n{0,2}"), NUMBER))
MAY_THINK = Concatenation(
    (Choice((Concatenation((Literal("<think>"), Until("</think>"))),)), NUMBER)
)


def read(constraint: Constraint, text: str) -> Matcher | None:
    """Return the matcher after `text`; None when the text is not allowed."""
    matcher = FACTORY.compile(constraint)
    for byte in text.encode():
        if not matcher.allows(Tokens.FIRST_BYTE + byte):
            return None
        matcher.accept(Tokens.FIRST_BYTE + byte)
    return matcher


def accepts(constraint: Constraint, text: str) -> bool:
    matcher = read(constraint, text)
    return matcher is not None and (matcher.finished or Tokens.END in allowed(matcher))


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (Literal('a"\n\\é日'), 'a"\n\\é日'),
        (Literal(""), ""),
        (Regex(r"[a-c]{2}/\/[/]"), "ab///"),
        (Repeat(CALL, 1, 2), '<call>\n{"n":1}\n</call><call>\n{"n": 2}\n</call>'),
        (Repeat(Literal("a"), 0), "aaaa"),
        (Without("<x>"), "<x <<x y>"),
        (Without(""), "anything <x>"),
        (Without("a"), ""),
        (ANSWER, "only words, <cal"),
        (ANSWER, 'first words <call>{"n":1}</call>'),
        (THOUGHT, 'hm </thin k</think>\n\n{"n":1}'),
        (MAY_THINK, '<think>{"n":</think>{"n":1}'),
        (Choice((Literal("a"), Concatenation(()))), ""),
        (Lark('start: "a" B\nB: /b+/'), "abb"),
        (GBNF('root ::= ("yes" | "no") [!?]*'), "no!?"),
        (Concatenation((Until("</t>"), GBNF('root ::= "y" root | "n"'))), "hm</t>yyn"),
        (Concatenation((Until("</t>"), Lark('start: "}" | no\nno: "n" "o"+'))), "hm</t>noo"),
        (Choice((Lark('start: "a"'), CALL)), "a"),
    ],
)
def test_texts_in_the_format_are_taken(constraint: Constraint, text: str) -> None:
    assert accepts(constraint, text)


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (Literal("ab"), "a"),
        (Repeat(CALL, 2), '<call>\n{"n":1}\n</call>'),
        (Without("<x>"), "a<x>"),
        (ANSWER, 'words <call>{"m"'),
        (ANSWER, "words <call>words"),
        (ANSWER, 'words <call>{"n":1}'),
        (THOUGHT, "no end of thinking {"),
        (THOUGHT, '</think>\n\n\n{"n":1}'),
        (MAY_THINK, "words"),
        (GBNF('root ::= "yes"'), "no"),
    ],
)
def test_other_texts_are_not(constraint: Constraint, text: str) -> None:
    assert not accepts(constraint, text)


@pytest.mark.parametrize("needed", list(itertools.product((False, True), repeat=3)))
def test_a_list_has_its_parts_in_order_without_some_that_are_not_needed(
    needed: tuple[bool, ...],
) -> None:
    constraint = SeparatedList((Literal("a"), Literal("b"), Literal("c")), needed, ", ")
    for chosen in itertools.product((False, True), repeat=3):
        text = ", ".join(itertools.compress("abc", chosen))
        whole = all(has or not wanted for has, wanted in zip(chosen, needed, strict=True))
        assert accepts(constraint, text) is whole, text
    for text in ("b, a", "a, ", ", a", "ab"):
        assert not accepts(constraint, text)


def test_the_grammar_of_lists_in_lists_stays_small() -> None:
    """Tools have dozens of optional parameters, some of them objects with as many."""
    constraint: Constraint = Literal("a")
    for _ in range(3):
        constraint = SeparatedList((constraint,) * 20, (False,) * 20, ",")
    assert len(grammar_of(constraint)) < 10_000


def test_an_answer_ends_where_nothing_can_follow() -> None:
    """The model need not find the end of its turn by itself after a call."""
    matcher = read(Concatenation((Until("<call>"), NUMBER)), 'x<call>{"n":1}')
    assert matcher is not None
    assert matcher.finished


def test_control_tokens_count_as_their_text_only_where_they_are_visible() -> None:
    """`</think>` often is one control token: reasoning could not end without it."""

    class WithMark(Tokens):
        def piece(self, token: int) -> bytes:
            return b"" if token == self.NO_TEXT else super().piece(token)

        def full_piece(self, token: int) -> bytes:
            return b"</think>" if token == self.NO_TEXT else super().piece(token)

    factory = ConstraintFactory(WithMark())
    hidden = factory.compile(THOUGHT)
    assert not hidden.allows(Tokens.NO_TEXT)
    shown = factory.compile(THOUGHT, {Tokens.NO_TEXT})
    assert shown.allows(Tokens.NO_TEXT)
    shown.accept(Tokens.NO_TEXT)
    assert allowed(shown) <= {
        token
        for token in range(VOCABULARY.size)
        if VOCABULARY.piece(token)[:1] in (b"\n", b"{") or token in (1, 2)
    }


AMBIGUOUS = (
    "start: s\ns: " + " | ".join(f'"a" n{i}' for i in range(600)) + "\n"
    + "".join(f'n{i}: s | "a" n{(i * 7 + 1) % 600} |\n' for i in range(600))
)  # fmt: skip
"""A step of it took 0.7 seconds, and nine times as long with three times the rules."""


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (GBNF('root ::= "x'), "the GBNF grammar cannot be used: line 1 is not in its syntax"),
        (GBNF('a ::= "x"'), 'the GBNF grammar cannot be used: there is no rule "root"'),
        (GBNF("root ::= other"), 'the GBNF grammar cannot be used: there is no rule "other"'),
        (GBNF("root ::= " + "(" * 5000 + '"a"' + ")" * 5000), "the GBNF grammar cannot be used"),
        (GBNF("root ::= " + '"a" ' * 30_000), "the grammar is larger than 64 KiB"),
        (Lark(AMBIGUOUS), "the grammar has more than 1500 symbols; leave out rules"),
        (Concatenation((Literal("x"), Lark(AMBIGUOUS))), "the grammar has more than 1500 symbols"),
        (Lark("start: nothing"), "it cannot be compiled to a grammar"),
        (Lark('start: "a" ' + "| b" * 5), "it cannot be compiled to a grammar"),
        (Regex("(?=a)"), "a regular expression"),
        (Regex("["), "a regular expression"),
        (Concatenation((Lark("start: B"),)), "it cannot be compiled to a grammar"),
        (Concatenation((Lark('start: "a"\n}\nx: "b" {'),)), "it cannot be compiled to a grammar"),
    ],
)
def test_a_grammar_that_cannot_be_used_is_refused_in_a_plain_sentence(
    constraint: Constraint, message: str
) -> None:
    with pytest.raises(BadConstraint) as caught:
        FACTORY.compile(constraint)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "string", "pattern": "^(?!x).*$"},
        {"type": "string", "allOf": [{"$ref": "#/$defs/nowhere"}]},
        {"type": "string", "multipleOf": 100000.5},
        {"type": "string", "enum": []},
        {"type": ["weird"], "minLength": "3"},
    ],
)
def test_what_cannot_be_used_of_a_lenient_schema_costs_no_more_than_itself(odd: object) -> None:
    """Tools come from many hands: one odd schema must not let go of all other calls."""
    schema = {"properties": {"a": odd, "b": {"type": "boolean"}}, "required": ["a", "b"]}
    text = json.dumps({"type": "object", **schema})
    lenient = Choice((Concatenation((Literal("x"), JSONSchema(text, lenient=True))), NUMBER))

    assert accepts(lenient, 'x{"a": "y", "b": true}')
    assert not accepts(lenient, 'x{"a": "y", "b": 1}')
    assert accepts(lenient, '{"n":1}')
    with pytest.raises(BadConstraint):
        FACTORY.compile(JSONSchema(text))


def test_a_lenient_schema_is_held_to_what_can_be_enforced() -> None:
    """The schemas of tools are a help, and no reason to refuse a request."""
    schema = '{"type":"object","properties":{"a":{"type":"boolean"}},"not":{"required":["b"]}}'
    assert accepts(JSONSchema(schema, lenient=True), '{"a":true}')
