"""Constrained output is always valid, whatever the model prefers, and bad schemas are explained."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runners.engine.constraints.matcher import BadConstraint, ConstraintFactory, Matcher
from runners.protocol.constraints import JSONSchema, Lark, Regex


class Tokens:
    """A vocabulary: a token without text, two that end, the bytes, some words."""

    NO_TEXT, END, OTHER_END, FIRST_BYTE = 0, 1, 2, 3

    def __init__(self, *, ends: bool = True) -> None:
        words = [b'{"', b'":', b'", "', b"true", b" the", b'"}', b"\x00", "日本".encode()]
        self.pieces = [b"", b"</s>", b"<end>", *(bytes([i]) for i in range(256)), *words]
        self.size = len(self.pieces)
        self.ends = {self.END, self.OTHER_END} if ends else set()

    def piece(self, token: int) -> bytes:
        return self.pieces[token]

    full_piece = piece

    def ends_generation(self, token: int) -> bool:
        return token in self.ends


VOCABULARY = Tokens()
FACTORY = ConstraintFactory(VOCABULARY)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def compiled(schema: object) -> Matcher:
    return FACTORY.compile(JSONSchema(json.dumps(schema)))


def allowed(matcher: Matcher, n_logits: int = VOCABULARY.size) -> set[int]:
    logits = np.zeros(n_logits, np.float32)
    matcher.mask(logits)
    return set(np.flatnonzero(np.isfinite(logits)).tolist())


def write(matcher: Matcher, text: str) -> None:
    for byte in text.encode():
        assert matcher.allows(Tokens.FIRST_BYTE + byte), (text, bytes([byte]))
        matcher.accept(Tokens.FIRST_BYTE + byte)


def accepts(schema: object, text: str) -> bool:
    """Whether `text` is what the schema allows, and complete."""
    matcher = compiled(schema)
    for byte in text.encode():
        if not matcher.allows(Tokens.FIRST_BYTE + byte):
            return False
        matcher.accept(Tokens.FIRST_BYTE + byte)
    return matcher.finished or Tokens.END in allowed(matcher)


def test_the_mask_and_the_test_of_one_token_agree() -> None:
    """Both ways to use a matcher must allow the same tokens."""
    matcher = compiled(PERSON)
    for byte in b'{"name": "x \xc3\xa9\\n","age":-12}':
        possible = allowed(matcher)
        assert possible == {token for token in range(VOCABULARY.size) if matcher.allows(token)}
        assert Tokens.FIRST_BYTE + byte in possible
        matcher.accept(Tokens.FIRST_BYTE + byte)
    assert matcher.finished


def test_matchers_of_one_constraint_do_not_know_each_other() -> None:
    """What was compiled for one request is used again for the next one."""
    first, second = compiled(PERSON), compiled(PERSON)
    write(first, '{"name": "')
    write(second, '{"name": "x", "age": 1}')
    write(compiled(PERSON), "{")
    write(first, 'y", "age": 2}')
    assert first.finished


def test_the_logits_of_allowed_tokens_are_left_alone() -> None:
    logits: npt.NDArray[np.float32] = np.arange(VOCABULARY.size, dtype=np.float32)
    matcher = compiled({"type": "boolean"})
    matcher.mask(logits)
    kept = np.flatnonzero(np.isfinite(logits))
    assert [VOCABULARY.pieces[token] for token in kept] == [b"f", b"t", b"true"]
    assert logits[kept].tolist() == kept.tolist()


def test_logits_beyond_the_vocabulary_are_forbidden() -> None:
    """Some models have more rows in the output layer than tokens."""
    assert max(allowed(compiled(PERSON), n_logits=VOCABULARY.size + 100)) < VOCABULARY.size


def test_text_without_meaning_is_never_allowed_and_the_end_only_where_it_may_end() -> None:
    matcher = compiled({"type": "integer"})
    ends = {Tokens.END, Tokens.OTHER_END}
    assert not allowed(matcher) & ends
    write(matcher, "12")
    assert ends < allowed(matcher)
    write(matcher := compiled({"type": "string"}), '"a')
    no_text = {Tokens.NO_TEXT, VOCABULARY.pieces.index(b"\x00")}
    assert not allowed(matcher) & (ends | no_text)


def test_after_an_end_token_a_matcher_is_finished() -> None:
    matcher = compiled({"type": "integer"})
    write(matcher, "7")
    assert not matcher.finished
    matcher.accept(Tokens.END)
    assert matcher.finished


def test_blanks_are_bounded() -> None:
    """A weak model would otherwise write nothing but blanks."""
    assert accepts(PERSON, '{"name": "x", "age": 1}')
    assert accepts(PERSON, '{"name":"x","age":1}')
    assert not accepts(PERSON, '{"name":  "x"')
    assert not accepts(PERSON, "{\n")


def test_bytes_that_are_no_utf_8_cannot_be_written() -> None:
    matcher = compiled({"type": "string"})
    write(matcher, '"')
    assert Tokens.FIRST_BYTE + 0xFF not in allowed(matcher)
    matcher.accept(Tokens.FIRST_BYTE + 0xE6)
    assert allowed(matcher) == set(range(Tokens.FIRST_BYTE + 0x80, Tokens.FIRST_BYTE + 0xC0))


def test_a_model_without_an_end_token_still_finishes() -> None:
    matcher = ConstraintFactory(Tokens(ends=False)).compile(JSONSchema('{"enum": ["a"]}'))
    write(matcher, '"a"')
    assert matcher.finished


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "null"),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "[1,2]"),
        ({"type": "string", "format": "password"}, '"x"'),
        ({"type": "string", "pattern": "^[a-c]{2}$"}, '"ab"'),
        ({"$defs": {"n": {"enum": [1, "x"]}}, "$ref": "#/$defs/n"}, '"x"'),
        ({}, '{"any": [1, {"thing": null}]}'),
    ],
    ids=["oneOf", "uniqueItems", "unknown format", "pattern", "reference", "any object"],
)
def test_schemas_as_programs_write_them_are_taken(schema: object, text: str) -> None:
    """Schemas made by pydantic and the like use keywords that cannot be enforced."""
    assert accepts(schema, text)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "colour"}, 'the schema has an unknown "type": "colour"'),
        ({"type": 5}, '"type" in the schema has a value of the wrong type'),
        ({"properties": 5}, '"properties" in the schema has a value of the wrong type'),
        ({"type": "string", "pattern": "["}, "a regular expression is invalid, or uses"),
        ({"type": "string", "pattern": "(?=a)b"}, "a regular expression"),
        ({"not": {"type": "string"}}, '"not" in the schema cannot be enforced; leave it out'),
        ({"if": {}, "then": {}}, '"if" in the schema cannot be enforced; leave it out'),
        ({"$ref": "#/$defs/none"}, 'a "$ref" in the schema cannot be resolved'),
        ({"$ref": "http://127.0.0.1/x.json"}, 'a "$ref" in the schema cannot be resolved'),
        ({"$ref": "file:///etc/passwd"}, 'a "$ref" in the schema cannot be resolved'),
        ({"$ref": "#"}, "no JSON value satisfies the schema"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no JSON value satisfies the schema"),
        ({"allOf": [{"anyOf": [{"minimum": i * j} for j in range(8)]} for i in range(9)]},
         "the schema is too complex"),
        ({"type": "array", "multipleOf": 123_456}, "multipleOf"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_refused_in_a_plain_sentence(
    schema: object, message: str
) -> None:
    with pytest.raises(BadConstraint) as caught:
        compiled(schema)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(BadConstraint):
        compiled(PERSON).accept(Tokens.FIRST_BYTE + ord("x"))


def test_a_vocabulary_that_cannot_write_the_schema_is_reported() -> None:
    """A model without a brace cannot write an object: an error, not an empty answer."""
    vocabulary = Tokens()
    vocabulary.pieces = [piece.replace(b"{", b"") for piece in vocabulary.pieces]
    with pytest.raises(BadConstraint, match="no JSON value"):
        ConstraintFactory(vocabulary).compile(JSONSchema(json.dumps(PERSON)))


def test_several_threads_may_compile_at_once() -> None:
    factory = ConstraintFactory(Tokens())
    with ThreadPoolExecutor(4) as pool:
        matchers = list(pool.map(factory.compile, [JSONSchema(json.dumps(PERSON))] * 8))
    for matcher in matchers:
        write(matcher, '{"name":"x","age":1}')
        assert matcher.finished


TOO_SLOW = "its grammar takes too long to match; make its rules unambiguous and left-recursive"


def test_an_ambiguous_grammar_ends_before_a_step_takes_long() -> None:
    """Its parser has more to keep in mind with every token: the others of a batch would wait.

    The clock is that of a machine ten times as slow, where this takes a second and not fifteen.
    """
    factory = ConstraintFactory(VOCABULARY, clock=lambda: 10 * time.thread_time())
    matcher = factory.compile(Lark('start: s\ns: s s | "a"\n'))

    def repeat() -> None:
        for _ in range(1000):
            allowed(matcher)
            matcher.accept(Tokens.FIRST_BYTE + ord("a"))

    with pytest.raises(BadConstraint) as caught:
        repeat()
    assert str(caught.value) == TOO_SLOW


@pytest.mark.parametrize(
    "grammar",
    [
        'start: e\ne: e "+" e | e "*" e | "(" e ")" | "a"\n',
        "start: s\ns: /[a+]/ s | /[a+]/\n",
    ],
    ids=["ambiguous operators", "right recursion"],
)
def test_grammars_as_people_write_them_stay_within_the_limits(grammar: str) -> None:
    matcher = FACTORY.compile(Lark(grammar))

    for character in "a+" * 150 + "a":
        allowed(matcher)
        matcher.accept(Tokens.FIRST_BYTE + ord(character))


@pytest.mark.parametrize("work", ["mask", "allows", "accept"])
def test_the_time_that_a_constraint_takes_of_an_answer_is_limited(work: str) -> None:
    """In all; each token adds a little, so that long answers may take longer."""
    now = 0.0
    matcher = ConstraintFactory(VOCABULARY, clock=lambda: now).compile(Regex("a*"))
    token = Tokens.FIRST_BYTE + ord("a")
    logits = np.zeros(VOCABULARY.size, np.float32)

    class Slow:
        """The native matcher on a machine on which each call takes a tenth of a second."""

        def __getattr__(self, name: str) -> Any:
            nonlocal now
            now += 0.1
            return getattr(native, name)

    native, matcher._native = matcher._native, Slow()
    steps = {
        "mask": lambda: matcher.mask(logits),
        "allows": lambda: matcher.allows(token),
        "accept": lambda: matcher.accept(token),
    }

    def repeat() -> None:
        for _ in range(100):
            steps[work]()

    with pytest.raises(BadConstraint) as caught:
        repeat()
    assert str(caught.value) == TOO_SLOW
    assert 2.0 < now < 4.0
