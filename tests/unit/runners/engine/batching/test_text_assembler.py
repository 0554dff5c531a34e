"""Text reaches the client whole: no broken characters, no stop strings, nothing lost."""

import codecs
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runners.engine.batching.text_assembler import TextAssembler


def assemble(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[str, bool]:
    assembler = TextAssembler(stop)
    text = "".join([assembler.push(piece) for piece in pieces])
    return text + assembler.flush(), bool(assembler.stopped_by)


def expected(data: bytes, stop: tuple[str, ...]) -> tuple[str, bool]:
    """What the text should be, found by looking at every beginning of all of it."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    for end in range(1, len(text) + 1):
        if found := max((len(s) for s in stop if s and text[:end].endswith(s)), default=0):
            return text[: end - found], True
    return text, False


alphabet = st.sampled_from(["a", "b", "ab", "\n", "é", "日", "🙂", "</", ">"])
texts = st.lists(alphabet, max_size=30).map("".join).map(str.encode)
broken = st.lists(st.sampled_from([b"a", b"\xf0", b"\x9f", b"\x99", b"\x82", b"\xed\xa0", b"\xc3"]))
stops = st.lists(st.lists(alphabet, max_size=4).map("".join), max_size=3).map(tuple)


@given(texts | broken.map(b"".join), stops, st.lists(st.integers(0, 60)))
@example(b"\xf0\x9f", (), [1])
@example(b"aab", ("ab", "aab"), [1, 2])
def test_text_does_not_depend_on_how_its_bytes_were_cut(
    data: bytes, stop: tuple[str, ...], cuts: list[int]
) -> None:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert assemble(pieces, stop) == expected(data, stop)


@given(texts, stops)
def test_what_was_sent_never_has_to_be_taken_back(data: bytes, stop: tuple[str, ...]) -> None:
    """A client that prints each chunk ends up with exactly the final text."""
    assembler = TextAssembler(stop)
    final, _ = expected(data, stop)
    sent = ""
    for byte in data:
        sent += assembler.push(bytes([byte]))
        assert final.startswith(sent)


def test_a_stop_string_may_span_several_tokens_and_characters_of_several_bytes() -> None:
    assembler = TextAssembler(("<日本🙂>",))
    pieces = [b"hi <", "日".encode(), "本".encode() + b"\xf0\x9f", b"\x99\x82", b"> more"]
    assert [assembler.push(piece) for piece in pieces] == ["hi ", "", "", "", ""]
    assert assembler.stopped_by == "<日本🙂>"
    assert assembler.push(b"ignored") == assembler.flush() == ""


def test_only_the_part_that_can_begin_a_stop_string_is_held_back() -> None:
    assembler = TextAssembler(("User:",))
    assert assembler.push(b"the end. Us") == "the end. "
    assert assembler.push(b"ual") == "Usual"
    assert assembler.push(b" Use") == " "
    assert assembler.flush() == "Use"


@pytest.mark.parametrize(
    ("stop", "text", "kept"),
    [
        (("bc", "abcd"), "xabcd", "xa"),
        (("c", "abc"), "xabcd", "x"),
        (("", "b"), "abc", "a"),
        (("aab",), "aaab", "a"),
    ],
    ids=["complete first", "longest", "empty is ignored", "restarts inside itself"],
)
def test_which_stop_string_counts(stop: tuple[str, ...], text: str, kept: str) -> None:
    assert assemble([text.encode()], stop) == (kept, True)


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    assert assemble([b"caf", b"\xc3"]) == ("caf", False)


def test_bytes_that_are_no_text_show_as_replacement_characters() -> None:
    assert assemble([b"a\xff", b"b\xe2\x82", b"c"]) == ("a\ufffdb\ufffdc", False)
