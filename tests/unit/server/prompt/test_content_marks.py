"""Content that spells special tokens is marked; the prompt tells where they are only characters."""

import json
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.protocol.tokens import Segment, SegmentedText, SpecialTokens
from server.errors import TemplateError
from server.prompt.content_marks import mark_content
from server.prompt.messages import Message, Tool, ToolCall
from server.prompt.rendered_prompt import RenderedPrompt, with_breaks
from server.prompt.special_tokens import SpecialTexts, special_texts

START, END, CALL = "<|im_start|>", "<|im_end|>", "<tool_call>"
SPECIAL = SpecialTexts((START, END, "</s>"), (CALL,))
PIECES = st.sampled_from(["<|im_", "start|>", START, END, "</s>", CALL, "<", "é", "a", " "])
TEXTS = st.lists(PIECES, max_size=6).map("".join)


def prompt_of(*contents: str, role: str = "user") -> RenderedPrompt:
    messages = [Message(role, content) for content in contents]
    marked = mark_content(messages, (), special=SPECIAL)
    return marked.unmark("".join(f"{START}{m.content}{END}" for m in marked.messages))


def special(*texts: str) -> list[Segment]:
    return [Segment(text, special=True) for text in texts]


def content(*texts: str) -> list[Segment]:
    return [Segment(text, special=False) for text in texts]


def segments_of(prompt: RenderedPrompt) -> Sequence[Segment]:
    text = prompt.for_tokenizer(SPECIAL)
    assert isinstance(text, SegmentedText)
    assert text.text == prompt.text
    return text.segments


@pytest.mark.parametrize("text", ["", "Hi", "1 < 2", "a | b", "the s> of </ s>", "<tool>", "꒐"])
def test_ordinary_content_is_left_alone(text: str) -> None:
    messages = [Message("user", text)]

    marked = mark_content(messages, (), special=SPECIAL)

    assert marked.messages is messages
    assert marked.unmark("any").for_tokenizer(SPECIAL) == "any"


@pytest.mark.parametrize(
    ("contents", "segments"),
    [
        ((END,), [*special(START), *content(END), *special(END)]),
        ((f"a{END}b",), [*special(START), *content(f"a{END}b"), *special(END)]),
        (
            ("a", f"{END}b", "c"),
            [
                *special(f"{START}a{END}{START}"),
                *content(f"{END}b"),
                *special(f"{END}{START}c{END}"),
            ],
        ),
        ((f"<{END}",), [*special(START), *content(f"<{END}"), *special(END)]),
        ((f"<|im_{END}end|>",), [*special(START), *content(f"<|im_{END}end|>"), *special(END)]),
        ((f"a{CALL}b",), [*special(START), *content("a<", "tool_call>b"), *special(END)]),
        (
            (f"{CALL}{END}{CALL}",),
            [*special(START), *content("<", f"tool_call>{END}<", "tool_call>"), *special(END)],
        ),
    ],
)
def test_content_is_apart_from_the_tokens_of_the_template(
    contents: tuple[str, ...], segments: list[Segment]
) -> None:
    assert segments_of(prompt_of(*contents)) == tuple(segments)


@given(contents=st.lists(TEXTS, min_size=1, max_size=4))
def test_special_tokens_are_those_of_the_template(contents: list[str]) -> None:
    prompt = prompt_of(*contents)
    text = prompt.for_tokenizer(SPECIAL)
    segments = special(text) if isinstance(text, str) else text.segments

    assert prompt.text == "".join(f"{START}{content}{END}" for content in contents)
    found = [
        (segment.text[start:end])
        for segment in segments
        if segment.special
        for start, end in SPECIAL.find(segment.text)
    ]
    assert found == [START, END] * len(contents)
    assert not any(CALL in segment.text for segment in segments if not segment.special)


def test_a_token_is_not_joined_of_content_and_markup() -> None:
    marked = mark_content([Message("user", "a<|im_end")], (), special=SPECIAL)

    prompt = marked.unmark(f"{START}{marked.messages[0].content}|>{END}")

    assert segments_of(prompt) == (*special(START), *content("a<|im_end|>"), *special(END))


def test_everything_that_comes_from_outside_is_marked() -> None:
    call = ToolCall(END, 0, END, {END: [{"x": END}], "n": 1})
    message = Message(END, END, END, tool_calls=(call,), tool_name=END, tool_call_id=END)
    tool = Tool(END, END, END, {END: {"enum": [END]}}, items=[END])

    marked = mark_content([message], [tool], special=SPECIAL)

    prompt = marked.unmark(repr((marked.messages, marked.tools)))
    assert len(list(SPECIAL.find(prompt.text))) == len(prompt.breaks) == 15
    assert segments_of(prompt) == tuple(content(prompt.text))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool", "developer"])
def test_roles_are_what_templates_compare_with(role: str) -> None:
    special = SpecialTexts((role, END))

    marked = mark_content([Message(role, END)], (), special=special)

    assert marked.messages[0].role == role


@pytest.mark.parametrize("written", [lambda text: text, json.dumps, quote, str.upper, repr])
def test_marks_are_found_however_a_template_writes_them(written: object) -> None:
    assert callable(written)
    marked = mark_content([Message("user", f"a{END}b")], (), special=SPECIAL)

    prompt = marked.unmark(written(marked.messages[0].content))

    assert prompt.text == written(f"a{END}b")
    assert len(prompt.breaks) == 1


def test_the_mark_is_a_character_that_nobody_wrote() -> None:
    texts = [chr(code) for code in range(0xA000, 0xA040)]
    escaped = f"{END} \\uA040 %EA%81%81"

    marked = mark_content(
        [Message("user", escaped)], [Tool(name="".join(texts))], special=SPECIAL, markup="ꁂ"
    )

    assert marked.mark == "ꁃ"


def test_what_the_assistant_said_may_have_the_delimiters_of_its_format() -> None:
    messages = [Message("user", CALL), Message("assistant", f"{CALL}{END}")]

    marked = mark_content(messages, (), special=SPECIAL, delimiters=(CALL,))

    assert CALL not in marked.messages[0].content
    assert marked.messages[1].content.startswith(CALL)
    assert END not in marked.messages[1].content


def test_a_tool_that_is_nested_too_deeply_is_refused() -> None:
    items: object = END
    for _ in range(100_000):
        items = [items]

    with pytest.raises(TemplateError, match="nested too deeply"):
        mark_content([], [Tool(items=items)], special=SPECIAL)


def test_user_defined_tokens_mark_something_where_the_format_knows_them() -> None:
    tokens = SpecialTokens(
        id=1, control=("</s>",), user_defined=(CALL, "<think>", "<other>", "  ", "def")
    )

    texts = special_texts(tokens, f"{CALL} def", ("<think>",))

    assert texts.user_defined == {CALL, "<think>"}
    assert [tuple(found) for found in texts.find("</s><other>def  <think>")] == [(0, 4), (16, 23)]


def test_the_longest_of_several_tokens_is_found() -> None:
    texts = SpecialTexts(("<a>", "<a><b>"))

    assert [tuple(found) for found in texts.find("<a><b><a>")] == [(0, 6), (6, 9)]


def test_earlier_tokens_say_which_texts_were_special() -> None:
    text = f"{START}a{END}b{END}"
    real = [(0, len(START)), (len(text) - len(END), len(text))]

    prompt = with_breaks(text, SPECIAL, real=real) + RenderedPrompt("c</s>")

    assert segments_of(prompt) == (*special(START), *content(f"a{END}b"), *special(f"{END}c</s>"))


def test_bos_is_taken_off_without_moving_the_breaks() -> None:
    prompt = prompt_of(END).removeprefix("</s>")
    with_bos = RenderedPrompt("</s>") + prompt

    assert with_bos.removeprefix("</s>") == prompt
